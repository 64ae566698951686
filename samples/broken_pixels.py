"""Broken tiles and codecs: the directory is right, what it points to is not."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from samples.broken_case import ANY, DAMAGED, LIMIT, OK, STOPPED, UNKNOWN, UNSUPPORTED, Case, Change
from samples.codecs import COM, SOF0, SOS, segment, segments, with_j2k_comment, with_segments
from samples.surgery import Patient

TABLES = 347


def cases() -> Iterator[Case]:
    """All of this table."""
    yield from _jpeg_frames()
    yield from _jpeg_markers()
    yield from _jpeg_tables()
    yield from _j2k()
    yield from _bombs()
    yield from _words()


def tile(edit: Callable[[bytes], bytes]) -> Change:
    """Replace tile 1 of the base level by what `edit` makes of it."""

    def change(patient: Patient) -> Patient:
        edited = edit(patient.stored(0, 1))
        if edited == patient.stored(0, 1):
            raise RuntimeError("this edit breaks nothing")
        return patient.replace_tile(0, 1, edited)

    return change


def _marker(stream: bytes, marker: int) -> tuple[int, int]:
    return next((at, end) for found, at, end in segments(stream) if found == marker)


def framed(height: int, width: int, *, precision: int = 8, components: int = 3) -> Change:
    """Claim another frame size in SOF0."""

    def edit(stream: bytes) -> bytes:
        at, _ = _marker(stream, SOF0)
        return stream[: at + 4] + struct.pack(">BHHB", precision, height, width, components) + stream[at + 10 :]

    return tile(edit)


def _jpeg_frames() -> Iterator[Case]:
    for base in ("svs", "tiff"):
        yield Case(f"jpeg-{base}-frame-65535", (DAMAGED, LIMIT), base, framed(65535, 65535))
        yield Case(f"jpeg-{base}-frame-larger", (DAMAGED,), base, framed(128, 128))
        yield Case(f"jpeg-{base}-frame-smaller", (DAMAGED,), base, framed(32, 32))
        yield Case(f"jpeg-{base}-frame-0", (DAMAGED,), base, framed(0, 0))
        yield Case(f"jpeg-{base}-precision-12", (DAMAGED, UNSUPPORTED, STOPPED), base, framed(64, 64, precision=12))
        yield Case(f"jpeg-{base}-components-0", (DAMAGED,), base, framed(64, 64, components=0))
        yield Case(f"jpeg-{base}-components-4", (DAMAGED,), base, framed(64, 64, components=4))
    for kind in (0xC1, 0xC2, 0xC3, 0xC9, 0xCF):
        codes = (DAMAGED, UNSUPPORTED, UNKNOWN, STOPPED, *((OK,) if kind == 0xC1 else ()))
        yield Case(f"jpeg-process-{kind:x}", codes, "svs", tile(partial(_process, kind=kind)))
    yield Case("jpeg-two-frames", (DAMAGED, STOPPED), "svs", tile(_two_frames))


def _process(stream: bytes, kind: int) -> bytes:
    at, _ = _marker(stream, SOF0)
    return stream[: at + 1] + bytes([kind]) + stream[at + 2 :]


def _two_frames(stream: bytes) -> bytes:
    at, end = _marker(stream, SOF0)
    return stream[:end] + stream[at:end] + stream[end:]


def _without_sos(stream: bytes) -> bytes:
    at, end = _marker(stream, SOS)
    return stream[:at] + stream[end:]


def _jpeg_markers() -> Iterator[Case]:
    edits: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
        "no-soi": (lambda s: s[2:], (DAMAGED,)),
        "no-sos": (_without_sos, (DAMAGED,)),
        # libjpeg ends such a picture itself, with a warning.
        "no-eoi": (lambda s: s[:-2], (DAMAGED, OK, STOPPED)),
        "only-soi-eoi": (lambda s: b"\xff\xd8\xff\xd9", (DAMAGED,)),
        "only-soi": (lambda s: b"\xff\xd8", (DAMAGED,)),
        "header-only": (lambda s: s[: _marker(s, SOS)[1]], (DAMAGED, STOPPED)),
        "zeros": (lambda s: bytes(len(s)), (DAMAGED,)),
        "fill": (lambda s: b"\xff" * len(s), (DAMAGED,)),
        "text": (lambda s: b"not a picture " * 30, (DAMAGED,)),
        "segment-length-0": (lambda s: with_segments(s, b"\xff\xfe\0\0"), (DAMAGED,)),
        "segment-length-1": (lambda s: with_segments(s, b"\xff\xfe\0\1"), (DAMAGED,)),
        "segment-beyond-tile": (lambda s: with_segments(s, b"\xff\xfe\xff\xff"), (DAMAGED,)),
        "fill-bytes-before-marker": (lambda s: s[:2] + b"\xff" * 70_000 + s[2:], (OK, DAMAGED, LIMIT)),
        "comments-10000": (lambda s: with_segments(s, segment(COM, b"x") * 10_000), (OK, LIMIT, DAMAGED, STOPPED)),
        "picture-after-picture": (lambda s: s + s, (OK, DAMAGED, STOPPED)),
        "rst-in-scan": (lambda s: s[:-40] + b"\xff\xd3" + s[-40:], (OK, DAMAGED, STOPPED)),
        "restart-interval": (lambda s: with_segments(s, b"\xff\xdd\0\4\0\2"), (OK, DAMAGED, STOPPED)),
        "reserved-marker-in-scan": (lambda s: s[:-40] + b"\xff\x02" + s[-40:], (OK, DAMAGED, STOPPED)),
        "app-in-scan": (lambda s: s[:-40] + segment(0xE1, b"words") + s[-40:], (DAMAGED, OK, STOPPED)),
        "dnl": (lambda s: s[:-2] + b"\xff\xdc\0\4\0\x40" + s[-2:], (UNKNOWN,)),
    }
    for name, (edit, codes) in edits.items():
        yield Case(f"jpeg-{name}", codes, "svs", tile(edit))


def _jpeg_tables() -> Iterator[Case]:
    for base in ("svs", "tiff"):
        missing = partial(Patient.recode, page=0, code=TABLES, other=65001)
        yield Case(f"tables-{base}-missing", (DAMAGED, STOPPED), base, missing)
        yield Case(f"tables-{base}-short", (DAMAGED,), base, partial(Patient.recount, page=0, code=TABLES, count=40))
        yield Case(f"tables-{base}-empty", (DAMAGED,), base, partial(Patient.recount, page=0, code=TABLES, count=0))
        yield Case(f"tables-{base}-zeros", (DAMAGED,), base, _zero_tables)
        yield Case(f"tables-{base}-at-max", (DAMAGED,), base, lambda p: p.point(0, TABLES, 0xFFFFFFF0))
    yield Case("tables-dht-overfull", (DAMAGED, OK), "svs", _overfull)


def _zero_tables(patient: Patient) -> Patient:
    entry = patient.entry(0, TABLES)
    return patient.bytes_at(entry.value_at, bytes(entry.count))


def _overfull(patient: Patient) -> Patient:
    """Huffman code lengths that no tree can have."""
    entry = patient.entry(0, TABLES)
    at = patient.data.index(b"\xff\xc4", entry.value_at)
    return patient.bytes_at(at + 5, b"\xff" * 16)


def _j2k() -> Iterator[Case]:
    edits: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
        "truncated-main-header": (lambda s: s[:30], (DAMAGED,)),
        "truncated-tile-part": (lambda s: s[: len(s) // 2], (DAMAGED, OK, STOPPED)),
        "no-soc": (lambda s: s[2:], (DAMAGED, UNKNOWN)),
        "zeros": (lambda s: bytes(len(s)), (DAMAGED, UNKNOWN)),
        "size-max": (lambda s: s[:8] + b"\xff" * 8 + s[16:], (DAMAGED, LIMIT, STOPPED)),
        "size-larger": (lambda s: s[:8] + struct.pack(">II", 128, 128) + s[16:], (DAMAGED, STOPPED)),
        "size-0": (lambda s: s[:8] + bytes(8) + s[16:], (DAMAGED, STOPPED)),
        "components-16384": (lambda s: s[:40] + b"\x40\0" + s[42:], (DAMAGED, LIMIT, STOPPED)),
        "tile-size-1": (lambda s: s[:24] + struct.pack(">II", 1, 1) + s[32:], (DAMAGED, LIMIT, STOPPED)),
        "psot-max": (lambda s: _psot(s, 0xFFFFFFFF), (DAMAGED, OK, STOPPED)),
        "psot-1": (lambda s: _psot(s, 1), (DAMAGED, OK, STOPPED)),
        "comments-1000": (_thousand_comments, (OK, LIMIT, DAMAGED)),
    }
    for name, (edit, codes) in edits.items():
        yield Case(f"j2k-{name}", codes, "j2k", tile(edit))


def _psot(stream: bytes, length: int) -> bytes:
    at = stream.index(b"\xff\x90")
    return stream[: at + 6] + struct.pack(">I", length) + stream[at + 10 :]


def _thousand_comments(stream: bytes) -> bytes:
    for _ in range(1000):
        stream = with_j2k_comment(stream, b"x")
    return stream


def _bombs() -> Iterator[Case]:
    yield Case("deflate-bomb", (DAMAGED, LIMIT), "deflate", tile(lambda s: zlib.compress(bytes(64 << 20), 9)))
    yield Case("deflate-short", (DAMAGED, OK), "deflate", tile(lambda s: zlib.compress(b"x")))
    yield Case("deflate-cut", (DAMAGED, OK), "deflate", tile(lambda s: s[:50]))
    yield Case("deflate-garbage", (DAMAGED, OK), "deflate", tile(lambda s: b"\x78\x9c" + b"\xff" * 200))
    yield Case("deflate-checksum", (DAMAGED, OK), "deflate", tile(lambda s: s[:-4] + bytes(4)))
    yield Case("deflate-words-behind-end", (DAMAGED, OK), "deflate", tile(lambda s: s + b"words behind the end"))
    yield Case("raw-short", (DAMAGED, OK), "raw", tile(lambda s: s[:100]))
    yield Case("raw-long", (DAMAGED, OK), "raw", tile(lambda s: s + b"words behind the end"))
    yield Case(
        "deflate-said-to-be-jpeg", (DAMAGED, UNKNOWN), "deflate", partial(Patient.set, page=0, code=259, value=7)
    )
    yield Case(
        "jpeg-said-to-be-deflate", (DAMAGED, UNKNOWN, OK), "tiff", partial(Patient.set, page=0, code=259, value=8)
    )
    yield Case("jpeg-said-to-be-raw", (DAMAGED, UNKNOWN, OK), "tiff", partial(Patient.set, page=0, code=259, value=1))
    yield Case("jpeg-said-to-be-j2k", (DAMAGED, UNKNOWN), "svs", partial(Patient.set, page=0, code=259, value=33005))


def _words() -> Iterator[Case]:
    """Numbers of the pixel format that nobody understands."""
    for value in (0, 6, 9999, 34892, 50001):
        change = partial(Patient.set, page=0, code=259, value=value)
        yield Case(f"compression-{value}", ANY, "tiff", change)
    for value in (8, 9, 9999, 32803):
        codes = (UNSUPPORTED, UNKNOWN, DAMAGED)
        yield Case(f"photometric-{value}", codes, "tiff", partial(Patient.set, page=0, code=262, value=value))
        yield Case(f"photometric-svs-{value}", (*codes, OK), "svs", partial(Patient.set, page=0, code=262, value=value))
    for value in (0, 2, 65535):
        yield Case(f"samples-{value}", (*ANY, STOPPED), "svs", partial(Patient.set, page=0, code=277, value=value))
    yield Case("bits-16-in-jpeg", (*ANY, OK), "svs", partial(Patient.set, page=0, code=258, value=16))
    yield Case("bits-mixed", (*ANY, OK), "svs", partial(Patient.set, page=0, code=258, value=4, index=1))
    yield Case("planes-apart", (DAMAGED, UNSUPPORTED, UNKNOWN), "svs", partial(Patient.set, page=0, code=284, value=2))
    yield Case("planes-9", (OK, *ANY), "svs", partial(Patient.set, page=0, code=284, value=9))
    yield Case("subsampling-0", (OK, *ANY), "tiff", partial(Patient.set, page=0, code=530, value=0))
