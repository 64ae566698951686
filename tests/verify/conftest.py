"""Tiny slides written by hand, byte by byte: a source with an identifier in it, the clean slide it should become."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from coverslip.slide import Route
from coverslip.verify import Claim, Report, Secret, verify
from samples.codecs import split

TILE = 64
SIZES = ((256, 192), (64, 48))
SECRET = b"ZQ-7781-DOE^JANE"
NAME = b"S12-34567"
DESCRIPTION = b"Aperio Image Library v12.0.15\r\n256x192 [0,0 256x192] (64x64) JPEG/RGB Q=75"
DESCRIPTION += b"|AppMag = 20|MPP = 0.4990|Left = 25.691574"
FORMATS = {1: "B", 2: "s", 3: "H", 4: "I", 5: "I", 7: "s", 13: "I", 16: "Q"}


@dataclass(frozen=True)
class Tag:
    """One directory entry before it has a place."""

    code: int
    type: int
    values: bytes | tuple[int, ...]

    def encode(self, order: str) -> tuple[int, bytes]:
        if isinstance(self.values, bytes):
            return len(self.values), self.values
        count = len(self.values) // 2 if self.type == 5 else len(self.values)
        return count, struct.pack(f"{order}{len(self.values)}{FORMATS[self.type]}", *self.values)


@dataclass(frozen=True)
class PageSpec:
    """One page: tags without offsets, and its tiles or strips."""

    tags: tuple[Tag, ...]
    pieces: tuple[bytes, ...]
    tiled: bool = True

    def with_tag(self, tag: Tag) -> PageSpec:
        others = tuple(old for old in self.tags if old.code != tag.code)
        return replace(self, tags=(*others, tag))

    def without(self, code: int) -> PageSpec:
        return replace(self, tags=tuple(tag for tag in self.tags if tag.code != code))

    def with_piece(self, number: int, change: Callable[[bytes], bytes]) -> PageSpec:
        pieces = tuple(change(piece) if at == number else piece for at, piece in enumerate(self.pieces))
        return replace(self, pieces=pieces)


@dataclass(frozen=True)
class Slide:
    """A whole file."""

    pages: tuple[PageSpec, ...]
    big: bool = False
    order: str = "<"
    after_header: bytes = b""
    tail: bytes = b""

    def page(self, number: int, change: Callable[[PageSpec], PageSpec]) -> Slide:
        pages = tuple(change(page) if at == number else page for at, page in enumerate(self.pages))
        return replace(self, pages=pages)

    def write(self, path: Path) -> Path:
        out = bytearray(self._header(0)) + self.after_header
        places = [self._pieces(page, out) for page in self.pages]
        links = []
        for page, (offsets, counts) in zip(self.pages, places, strict=True):
            at = self._even(out)
            if links:
                struct.pack_into(self.order + self._word, out, links[-1], at)
            else:
                out[: len(self._header(0))] = self._header(at)
            links.append(self._directory(page, offsets, counts, out))
        path.write_bytes(bytes(out) + self.tail)
        return path

    @property
    def _word(self) -> str:
        return "Q" if self.big else "I"

    def _header(self, first: int) -> bytes:
        mark = b"II" if self.order == "<" else b"MM"
        return mark + struct.pack(
            self.order + ("HHHQ" if self.big else "HI"), *((43, 8, 0) if self.big else (42,)), first
        )

    def _even(self, out: bytearray) -> int:
        out += bytes(len(out) % 2)
        return len(out)

    def _pieces(self, page: PageSpec, out: bytearray) -> tuple[list[int], list[int]]:
        offsets = []
        for piece in page.pieces:
            offsets.append(self._even(out))
            out += piece
        return offsets, [len(piece) for piece in page.pieces]

    def _directory(self, page: PageSpec, offsets: list[int], counts: list[int], out: bytearray) -> int:
        codes = (324, 325) if page.tiled else (273, 279)
        tags = [
            *page.tags,
            *(Tag(code, 16 if self.big else 4, tuple(v)) for code, v in zip(codes, (offsets, counts), strict=True)),
        ]
        tags.sort(key=lambda tag: tag.code)
        start, width = len(out), 8 if self.big else 4
        entry = 4 + 2 * width
        head = 8 if self.big else 2
        out += bytes(head + entry * len(tags) + width)
        struct.pack_into(self.order + ("Q" if self.big else "H"), out, start, len(tags))
        for number, tag in enumerate(tags):
            count, value = tag.encode(self.order)
            place = start + head + entry * number
            struct.pack_into(self.order + "HH" + self._word, out, place, tag.code, tag.type, count)
            if len(value) <= width:
                out[place + 4 + width : place + 4 + width + len(value)] = value
            else:
                struct.pack_into(self.order + self._word, out, place + 4 + width, self._even(out))
                out += value
        return start + head + entry * len(tags)


def scene() -> np.ndarray:
    """The picture all levels show: a mosaic, each part of it different, darker in a round spot."""
    rng = np.random.default_rng(7)
    mosaic = np.kron(rng.integers(40, 255, (24, 32, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    rows, columns = np.mgrid[0:192, 0:256]
    spot = np.hypot(rows - 60, (columns - 70) * 0.8) < 45
    return np.where(spot[..., None], mosaic // 2 + 60, mosaic // 2 + 120).astype(np.uint8)


def shown(size: tuple[int, int]) -> np.ndarray:
    """The scene at a size."""
    return np.asarray(Image.fromarray(scene()).resize(size, Image.Resampling.BOX))


def encoded(pixels: np.ndarray, quality: int = 75) -> bytes:
    """A bare JPEG stream."""
    return bare(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="444"))


def bare(stream: bytes) -> bytes:
    """Without the JFIF segment."""
    assert stream[2:4] == b"\xff\xe0"
    return stream[:2] + stream[4 + int.from_bytes(stream[4:6], "big") :]


def comment(text: bytes) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text


def commented(stream: bytes, text: bytes = SECRET) -> bytes:
    return stream[:2] + comment(text) + stream[2:]


def geometry(size: tuple[int, int], subfile: int = 0) -> tuple[Tag, ...]:
    return (
        Tag(254, 4, (subfile,)), Tag(256, 4, (size[0],)), Tag(257, 4, (size[1],)), Tag(258, 3, (8, 8, 8)),
        Tag(259, 3, (7,)), Tag(262, 3, (6,)), Tag(277, 3, (3,)), Tag(284, 3, (1,)), Tag(530, 3, (1, 1)),
    )  # fmt: skip


def level(pixels: np.ndarray, description: bytes, subfile: int = 0) -> PageSpec:
    """A tiled page, its last column and row of tiles padded."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    tiles = tuple(
        encoded(padded[top : top + TILE, left : left + TILE])
        for top in range(0, height, TILE)
        for left in range(0, width, TILE)
    )
    size = (width, height)
    tags = (*geometry(size, subfile), Tag(322, 4, (TILE,)), Tag(323, 4, (TILE,)), Tag(270, 2, description + b"\0"))
    return PageSpec(tags, tiles)


def picture(pixels: np.ndarray, subfile: int) -> PageSpec:
    size = (pixels.shape[1], pixels.shape[0])
    tags = (*geometry(size, subfile), Tag(278, 4, (size[1],)))
    return PageSpec(tags, (encoded(pixels, 80),), tiled=False)


def label_pixels() -> np.ndarray:
    """Dark bars and blocks on white: what a label looks like from afar."""
    rng = np.random.default_rng(99)
    pixels = np.full((240, 200, 3), 245, np.uint8)
    for row in range(20, 120, 20):
        words = rng.random(40) < 0.6
        pixels[row : row + 12, :, :] = np.where(np.repeat(words, 5), 20, 245)[None, :, None]
    pixels[150:220, 10:190] = np.where(np.repeat(rng.random(60) < 0.5, 3), 10, 245)[None, :, None]
    return pixels


def sharing(slide: Slide, change: Callable[[bytes], bytes] = bytes) -> Slide:
    """The tables of the first level's tiles moved to JPEGTables, and changed there."""
    parts = [split(tile) for tile in slide.pages[0].pieces]
    tables, tiles = change(parts[0][0]), tuple(tile for _, tile in parts)
    return slide.page(0, lambda page: replace(page, pieces=tiles).with_tag(Tag(347, 7, tables)))


@dataclass
class Workshop:
    """Makes the source, the clean slide, broken variants, and judges them."""

    folder: Path
    clean: Slide
    source: Slide
    secrets: tuple[Secret, ...] = (
        Secret("ifd[0]/ImageDescription/Patient", SECRET),
        Secret("file/name", NAME),
        Secret("ifd[0]/ImageDescription/Slide", b"3"),
    )
    kept: frozenset[str] = field(default_factory=lambda: frozenset({DESCRIPTION.decode()}))

    description = DESCRIPTION
    tag = staticmethod(Tag)
    picture = staticmethod(picture)
    level = staticmethod(level)
    label = staticmethod(label_pixels)
    shown = staticmethod(shown)
    commented = staticmethod(commented)

    def judge(self, clean: Slide, **changes: object) -> Report:
        """The verifier's report on a clean slide made from this workshop's source."""
        written = clean.write(self.folder / "clean.svs")
        source = self.source.write(self.folder / "source.svs")
        claim = Claim(written, source, Route.SAME_CONTAINER, self.secrets, self.kept)
        return verify(replace(claim, **changes))  # type: ignore[arg-type]

    def codes(self, clean: Slide, **changes: object) -> set[tuple[str, str]]:
        """Check and code of every finding."""
        return {(finding.check, finding.code) for finding in self.judge(clean, **changes).findings}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A classic little-endian Aperio look-alike with a label and an identifier in description, tile and tail."""
    levels = [level(shown(size), DESCRIPTION) for size in SIZES]
    thumbnail = picture(shown((240, 180)), 0).with_tag(Tag(270, 2, DESCRIPTION + b"\0"))
    clean = Slide((levels[0], thumbnail, levels[1]))
    named = Tag(270, 2, DESCRIPTION + b"|Patient = " + SECRET + b"|Slide = 3\0")
    first = levels[0].with_tag(named).with_piece(0, commented)
    source = Slide((first, thumbnail.with_tag(named), levels[1], picture(label_pixels(), 1)), tail=SECRET)
    return Workshop(tmp_path, clean, source)
