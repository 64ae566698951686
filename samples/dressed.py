"""Pictures in a level's clothes: a label, an overview or another slide stored as tiles, where a level could stand.

Whoever goes by tiles alone shows them as levels. Some say what they are by subfile type or in words, some have another
shape, and the worst say nothing and have the shape, the tiles and the codec of the slide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from coverslip.geometry import Size
from samples.broken_case import STOPPED, UNKNOWN, Case
from samples.codecs import COMPRESSION, Encoder
from samples.pictures import label, macro
from samples.surgery import Patient
from samples.tissue import Pixels, Tissue

LINES = ("DOE^JANE 1961-03-04", "S12-34567 MRN 7654321")
TILE = 64
SUBFILE, DESCRIPTION, PAGE_NAME = 254, 270, 285
ASCII, SHORT, LONG = 2, 3, 4
WHOLE = Size(600, 400)
"""Of the slides they are put into, which have one level."""


def cases() -> Iterator[Case]:
    """All of this table."""
    for base, opening in (("one-svs", b"Aperio Image Library v12.0.15\r\n"), ("one-tiff", b"")):
        for name, pixels in pictures(Size(150, 100)).items():
            yield Case(f"dressed-{base}-{name}", (STOPPED,), base, partial(put, pixels=pixels))
        yield Case(f"dressed-{base}-half", (STOPPED,), base, partial(put, pixels=pictures(Size(300, 200))["label"]))
        yield Case(f"dressed-{base}-own-shape", (UNKNOWN,), base, partial(put, pixels=label(LINES, 150, 180)))
        yield Case(f"dressed-{base}-overview", (UNKNOWN,), base, partial(put, pixels=_small("macro"), subfile=9))
        yield Case(f"dressed-{base}-mask", (UNKNOWN,), base, partial(put, pixels=_small("label"), subfile=4))
        for name in ("label", "macro"):
            words = opening + name.encode() + b" 150x100"
            change = partial(put, pixels=_small(name), words=words)
            yield Case(f"dressed-{base}-{name}-in-words", (UNKNOWN,), base, change)
    put_label = partial(put, pixels=_small("label"))
    # Of subfile type 1 are Aperio's labels, and any other TIFF's reduced levels.
    yield Case("dressed-one-svs-subfile-1", (UNKNOWN,), "one-svs", partial(put_label, subfile=1))
    yield Case("dressed-one-tiff-subfile-1", (STOPPED,), "one-tiff", partial(put_label, subfile=1))
    yield Case("dressed-one-tiff-page-name", (UNKNOWN,), "one-tiff", partial(put_label, name=b"Label"))
    yield Case("dressed-one-tiff-lossless", (UNKNOWN,), "one-tiff", partial(put_label, codec="lzw"))
    yield Case("dressed-one-svs-broken-step", (UNKNOWN,), "one-svs", partial(put, pixels=label(LINES, 240, 160)))
    yield Case("dressed-base-of-subfile-1", (UNKNOWN,), "one-svs", lambda p: p.set(0, SUBFILE, 1))
    yield Case("dressed-tiff-base-of-subfile-1", (UNKNOWN,), "one-tiff", lambda p: p.set(0, SUBFILE, 1))


def pictures(size: Size) -> dict[str, Pixels]:
    """What should not be there, exactly as large as a level: a label, one turned, the whole glass, another slide."""
    upright = label(LINES, size.width, size.height)
    turned = np.rot90(label(LINES, size.height, size.width))
    other = Tissue(Size(size.width, size.height), seed=77, share=0.7).crop(0, 0, size.width, size.height)
    glass = Image.fromarray(macro(LINES, other)).resize((size.width, size.height))
    return {"label": upright, "label-turned": turned, "macro": np.asarray(glass), "other-slide": other}


def _small(name: str) -> Pixels:
    return pictures(Size(150, 100))[name]


def put(
    patient: Patient, pixels: Pixels, *, subfile: int = 0, words: bytes = b"", name: bytes = b"", codec: str = ""
) -> Patient:
    """Hang a tiled page behind the last one; its codec is the base level's, unless another is asked for."""
    own = next(known for known, number in COMPRESSION.items() if number == patient.number(0, 259))
    colour = patient.number(0, 262)
    encode = Encoder(codec or ("jpeg-ycbcr" if colour == 6 else own), 80)
    tiles = [encode(tile) for tile in _tiles(pixels)]
    entries = [
        _entry(patient, SUBFILE, LONG, subfile), _entry(patient, 256, LONG, pixels.shape[1]),
        _entry(patient, 257, LONG, pixels.shape[0]), _entry(patient, 258, SHORT, 8, 8, 8),
        _entry(patient, 259, SHORT, COMPRESSION[encode.codec]), _entry(patient, 262, SHORT, colour),
        _entry(patient, 277, SHORT, 3), _entry(patient, 284, SHORT, 1), _entry(patient, 322, SHORT, TILE),
        _entry(patient, 323, SHORT, TILE), _entry(patient, 324, LONG, *map(patient.append, tiles)),
        _entry(patient, 325, LONG, *map(len, tiles)),
    ]  # fmt: skip
    for code, text in ((DESCRIPTION, words), (PAGE_NAME, name)):
        if text:
            entries.append((code, ASCII, len(text) + 1, patient.append(text + b"\0")))
    if encode.is_jpeg:
        tables = encode.tables()
        entries.append((347, 7, len(tables), patient.append(tables)))
    return patient.link_last(patient.ifd(*sorted(entries)))


def _tiles(pixels: Pixels) -> Iterator[Pixels]:
    padded = np.pad(pixels, ((0, -pixels.shape[0] % TILE), (0, -pixels.shape[1] % TILE), (0, 0)), mode="edge")
    for top in range(0, pixels.shape[0], TILE):
        for left in range(0, pixels.shape[1], TILE):
            yield np.ascontiguousarray(padded[top : top + TILE, left : left + TILE])


def _entry(patient: Patient, code: int, kind: int, *values: int) -> tuple[int, int, int, int]:
    """An entry of a classic TIFF; more than four bytes go to the end of the file."""
    packed = struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)
    field = int.from_bytes(packed, "little") if len(packed) <= 4 else patient.append(packed)
    return code, kind, len(values), field
