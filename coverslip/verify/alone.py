"""Without a plan: what the source itself says, read by the verifier's own walk, is what must be gone."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from coverslip.errors import InputError
from coverslip.verify import grammar, icc, j2k_walk, jpeg_walk, ome, other_reader, planes
from coverslip.verify.claim import Secret
from coverslip.verify.codecs import judge_plain
from coverslip.verify.ledger import gaps
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes
from coverslip.verify.standing import words_in_tables
from coverslip.verify.structure import ALLOWED, DESCRIPTION, ICC_PROFILE, JPEG_TABLES
from coverslip.verify.tiff_walk import ARRAY_TAGS, CHILDREN, Field, Ifd, Tiff, numbers, raw

MAX_VALUE = 1 << 16
MAX_TILES = 4096
"""Tiles per page whose headers are read for words; a scanner that comments tiles comments the first."""
POINTERS = {288: 289, 513: 514}
"""Where bytes lie that are no stored tile, and how many: free space, an old-style JPEG."""
NO_WORDS = frozenset({*ARRAY_TAGS, *CHILDREN, *POINTERS, *POINTERS.values()})
MAX_POINTED = 64
RESOLUTION, COLOUR = frozenset({282, 283}), frozenset({529, 532})
"""Two numbers of 32 bits for one value are room for words."""
MAX_COLOUR = 0xFFFF
"""Above and below in any fraction of colour that `structure` lets pass."""
WORDS = re.compile(rb"[\x20-\x7e]{6,}")


def secrets_of(path: Path, file: Bytes, tiff: Tiff, pages: Sequence[Page]) -> tuple[Secret, ...]:
    """Values of whatever type, Aperio pairs that are no numbers, marker payloads, profile texts, orphans, the name."""
    found = _names(path)
    for ifd in tiff.ifds:
        found += _values(file, tiff, ifd)
        found += _pointed(file, tiff, ifd)
    for page in pages:
        found += _markers(file, page)
    found += [
        Secret(f"file/orphan[{start}]", file.read(start, min(size, MAX_VALUE), "orphan"))
        for start, size in gaps(file, tiff, pages)
        if size >= 6
    ]
    return tuple(found)


def properties_of(source: Path) -> tuple[Secret, ...]:
    """What OpenSlide reads in a source the verifier has no walker for: every property but OpenSlide's own numbers."""
    found = _names(source)
    slide = other_reader.opened(source)
    if slide is not None:
        with slide, other_reader.typed("properties"):
            own = [name for name in slide.properties if not name.startswith("openslide.")]
            found += [
                Secret(f"properties[{number}]", slide.properties.get(name, "").encode("utf-8", "replace")[:MAX_VALUE])
                for number, name in enumerate(sorted(own))
            ]
    return tuple(found)


def _names(path: Path) -> list[Secret]:
    """The file's name without its ending, and without two where it has two (`.ome.tiff`)."""
    return [
        Secret("file/name", name.encode("utf-8", "replace"))
        for name in dict.fromkeys((path.stem, Path(path.stem).stem))
    ]


def scale_words(source: Path) -> frozenset[str]:
    """Resolution, magnification and background as OpenSlide prints them: numbers every clean slide says again."""
    slide = other_reader.opened(source)
    if slide is None:
        return frozenset()
    with slide, other_reader.typed("properties"):
        names = ("mpp-x", "mpp-y", "objective-power", "background-color")
        return frozenset(slide.properties.get(f"openslide.{name}", "") for name in names) - {""}


def kept_words(file: Bytes, tiff: Tiff) -> frozenset[str]:
    """Words of the clean slide that the verifier's own grammar allows: finding them again proves nothing."""
    words: set[str] = set()
    for ifd in tiff.ifds:
        field = ifd.field(DESCRIPTION)
        if field is not None and field.size <= MAX_VALUE:
            text = raw(file, ifd, field).rstrip(b"\0").decode("latin-1")
            if not any(grammar.objections(text)) or not any(ome.objections(text)):
                words.add(text)
    return frozenset(words)


def block_words(file: Bytes, tiff: Tiff) -> frozenset[str]:
    """What the OME-XML of a clean slide says again on purpose: the schema's words, and numbers."""
    return ome.said(planes.block(file, tiff).rstrip(b"\0").decode("latin-1"))


def _values(file: Bytes, tiff: Tiff, ifd: Ifd) -> Iterator[Secret]:
    for field in ifd.fields:
        if field.tag in NO_WORDS or field.tag == JPEG_TABLES or field.size > 16 << 20:
            continue
        value = raw(file, ifd, field)
        path = f"{ifd.path}/{field.tag}"
        if field.tag == ICC_PROFILE:
            yield from (Secret(f"{path}/{name}", words) for name, words in icc.removable(value))
            continue
        block = ome.read(value) if field.tag == DESCRIPTION else None
        value = value[:MAX_VALUE]
        if block is not None:
            yield from _block(*block, path)
        elif field.tag == DESCRIPTION and value.startswith(b"Aperio"):
            yield from _pairs(value, path)
        elif field.tag not in ALLOWED or field.tag == DESCRIPTION or _has_room(tiff, field, value):
            yield Secret(path, value)


def _has_room(tiff: Tiff, field: Field, value: bytes) -> bool:
    """Whether fractions are such as no clean slide has: colour of large numbers, or letters side by side."""
    if field.tag in COLOUR and len(value) % 8 == 0:
        return any(max(pair) > MAX_COLOUR for pair in struct.iter_unpack(f"{tiff.order}II", value))
    return field.tag in RESOLUTION | COLOUR and WORDS.search(value) is not None


def _pointed(file: Bytes, tiff: Tiff, ifd: Ifd) -> Iterator[Secret]:
    for where, length in POINTERS.items():
        at, count = ifd.field(where), ifd.field(length)
        if at is None or count is None or max(at.count, count.count) > MAX_POINTED:
            continue
        spans = zip(*(numbers(file, tiff.order, ifd, field).tolist() for field in (at, count)), strict=False)
        for number, (start, size) in enumerate(spans):
            yield Secret(f"{ifd.path}/{where}[{number}]", file.read(start, min(size, MAX_VALUE), ifd.path))


def _pairs(value: bytes, path: str) -> Iterator[Secret]:
    """Pairs that the verifier's grammar would not let pass; the header only where it holds more than geometry."""
    head, *pairs = value.rstrip(b"\0").decode("latin-1").split("|")
    for number, line in enumerate(re.split(r"[\r\n;]+", head)):
        if any(grammar.objections(line.strip())) and not grammar.is_geometry(line):
            yield Secret(f"{path}/header[{number}]", _said(line))
    for number, pair in enumerate(pairs):
        key, _, content = pair.partition("=")
        if not grammar.is_allowed(key.strip(), content.strip()):
            yield Secret(f"{path}/pair[{number}]", _said(content))


def _said(line: str) -> bytes:
    """What was read as Latin-1: the bytes themselves if they are UTF-8."""
    said = line.strip()
    raw = said.encode("latin-1")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return said.encode()
    return raw


def _block(root: ome.Tag, asides: Sequence[str], path: str) -> Iterator[Secret]:
    """Every attribute and text of an OME-XML block, each once; which of them stay the clean slide's own words say."""
    words = dict.fromkeys(asides)
    for tag in root.walk():
        words |= dict.fromkeys((tag.text.strip(), *(value for value in tag.attributes.values())))
    known = (word for word in words if word and not re.fullmatch(r"[A-Z][A-Za-z]{2,23}(:\d{1,4}){1,3}", word))
    for number, word in enumerate(known):
        yield Secret(f"{path}/ome[{number}]", word.encode("utf-8", "replace")[:MAX_VALUE])


def _markers(file: Bytes, page: Page) -> Iterator[Secret]:
    if page.jpeg_tables:
        yield from _jpeg(page.jpeg_tables, f"{page.path}/{JPEG_TABLES}")
    read = _jpeg if page.is_jpeg else _j2k if page.is_j2k else partial(_plain, page)
    seen: set[bytes] = set()
    stored = [(at, size) for at, size in zip(page.offsets.tolist(), page.counts.tolist(), strict=True) if size]
    for at, size in stored[:MAX_TILES]:
        data = file.read(at, min(size, 16 << 20), page.path)
        for secret in read(data, f"{page.path}/{page.piece}s"):
            if secret.untrusted_value not in seen:
                seen.add(secret.untrusted_value)
                yield secret


def _jpeg(data: bytes, where: str) -> Iterator[Secret]:
    try:
        walked = jpeg_walk.walk_jpeg(data, where)
    except InputError:
        return
    for segment in jpeg_walk.foreign(walked.segments):
        yield Secret(f"{where}/marker {segment.marker:02X}", segment.payload)
    for marker, said in words_in_tables(walked.segments, where):
        yield Secret(f"{where}/marker {marker:02X}", said)
    if walked.end < len(data):
        yield Secret(f"{where}/tail", data[walked.end : walked.end + MAX_VALUE])


def _j2k(data: bytes, where: str) -> Iterator[Secret]:
    try:
        walked = j2k_walk.walk_j2k(data, where)
    except InputError:
        return
    for segment in walked.all_segments:
        if segment.marker not in j2k_walk.STRUCTURAL:
            yield Secret(f"{where}/marker {segment.marker:04X}", segment.payload)
    if walked.end < len(data):
        yield Secret(f"{where}/tail", data[walked.end : walked.end + MAX_VALUE])


def _plain(page: Page, data: bytes, where: str) -> Iterator[Secret]:
    """Bytes behind the end of a stream without headers."""
    judged = judge_plain(page, data)
    if "bytes-after-end" in judged.codes:
        yield Secret(f"{where}/tail", data[len(judged.scan) :][:MAX_VALUE])
