"""Encoders and the surgery on their output: JPEG into tables and abbreviated stream, marker segments put in."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import imagecodecs
import numpy as np

from samples.tissue import Pixels

Codec = Literal["jpeg", "jpeg-ycbcr", "j2k-ycbcr", "j2k-rgb", "deflate", "lzw", "none"]
COMPRESSION: dict[str, int] = {
    "jpeg": 7, "jpeg-ycbcr": 7, "j2k-ycbcr": 33003, "j2k-rgb": 33005, "j2k": 34712, "deflate": 8, "lzw": 5, "none": 1,
}  # fmt: skip

SOI, EOI, SOF0, DHT, DQT, SOS, COM, APP0 = 0xD8, 0xD9, 0xC0, 0xC4, 0xDB, 0xDA, 0xFE, 0xE0
J2K_SOT, J2K_SOD, J2K_COM = 0xFF90, 0xFF93, 0xFF64


@dataclass(frozen=True, slots=True)
class Encoder:
    """How the tiles of one image are compressed."""

    codec: str
    quality: int = 70
    subsampling: str = "420"
    """For `jpeg-ycbcr` only: 444, 422 or 420."""
    predictor: int = 1
    order: str = "<"

    @property
    def is_jpeg(self) -> bool:
        """Whether tiles are abbreviated JPEG streams that need tables."""
        return self.codec in ("jpeg", "jpeg-ycbcr")

    def __call__(self, pixels: Pixels) -> bytes:
        """One tile as it is stored."""
        match self.codec:
            case "jpeg" | "jpeg-ycbcr":
                return split(self._jpeg(pixels))[1]
            case "j2k-ycbcr":
                return j2k(ycbcr(pixels), self.quality, mct=False)
            case "j2k-rgb" | "j2k":
                return j2k(pixels, self.quality, mct=True)
            case _:
                return packed(pixels, self.codec, self.predictor)

    def tables(self) -> bytes:
        """The JPEGTables all tiles share."""
        return split(self._jpeg(np.zeros((16, 16, 3), np.uint8)))[0]

    def _jpeg(self, pixels: Pixels) -> bytes:
        if self.codec == "jpeg":
            return numbered(jpeg_rgb(pixels, self.quality))
        return jpeg_ycbcr(pixels, self.quality, self.subsampling)


def jpeg_rgb(pixels: Pixels, quality: int) -> bytes:
    """A JPEG whose components are red, green and blue, one quantisation table for all, as Aperio stores them."""
    return bytes(imagecodecs.jpeg8_encode(pixels, quality, colorspace="rgb", outcolorspace="rgb"))


def jpeg_ycbcr(pixels: Pixels, quality: int, subsampling: str = "420") -> bytes:
    """An ordinary JPEG."""
    return bytes(imagecodecs.jpeg8_encode(pixels, quality, subsampling=subsampling))


def ycbcr(pixels: Pixels) -> Pixels:
    """Full-range BT.601 YCbCr of RGB pixels, as JPEG 2000's irreversible component transform defines it."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
    planes = pixels.astype(np.float32) @ matrix.T + np.array([0, 128, 128], np.float32)
    return np.asarray(np.clip(np.rint(planes), 0, 255), dtype=np.uint8)


def j2k(pixels: Pixels, quality: int, *, mct: bool) -> bytes:
    """A raw JPEG 2000 codestream; `quality` is a peak signal-to-noise ratio in decibels."""
    data = imagecodecs.jpeg2k_encode(pixels, quality, codecformat="j2k", mct=mct)
    return bytes(data)


def packed(pixels: Pixels, codec: str, predictor: int = 1) -> bytes:
    """Deflate, LZW or no compression at all; predictor 2 stores differences along the row."""
    if predictor == 2:
        pixels = np.concatenate([pixels[:, :1], np.diff(pixels, axis=1)], axis=1).astype(np.uint8)
    data = np.ascontiguousarray(pixels).tobytes()
    match codec:
        case "deflate":
            return zlib.compress(data)
        case "lzw":
            return bytes(imagecodecs.lzw_encode(data))
        case _:
            return data


def segments(stream: bytes) -> list[tuple[int, int, int]]:
    """Marker, start and end of each JPEG segment up to and with SOS."""
    found, at = [], 2
    while True:
        marker = stream[at + 1]
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        found.append((marker, at, end))
        if marker == SOS:
            return found
        at = end


def split(stream: bytes) -> tuple[bytes, bytes]:
    """Tables (SOI, DQT, DHT, EOI) and the abbreviated stream (SOI, SOF, SOS, scan), all else dropped."""
    tables, rest, end = b"", b"", 2
    for marker, at, end in segments(stream):
        if marker in (DQT, DHT):
            tables += stream[at:end]
        elif marker == SOS or 0xC0 <= marker <= 0xC2:
            rest += stream[at:end]
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + stream[end:]


def numbered(stream: bytes) -> bytes:
    """Components named 0, 1, 2 instead of R, G, B: Aperio leaves no hint at all that the colours are RGB."""
    out = bytearray(stream)
    for marker, at, _ in segments(stream):
        first, step = (at + 10, 3) if marker == SOF0 else (at + 5, 2)
        if marker in (SOF0, SOS):
            for index in range(3):
                out[first + step * index] = index
    return bytes(out)


def segment(marker: int, payload: bytes) -> bytes:
    """One JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def dqt(number: int, words: bytes) -> bytes:
    """A quantisation table whose divisors spell words."""
    return segment(DQT, bytes([number]) + words.ljust(64, b"A")[:64])


def dht(number: int, words: bytes) -> bytes:
    """A Huffman table of AC coefficients whose symbols spell words, all with codes of eight bits."""
    return segment(DHT, bytes([0x10 | number, *bytes(7), len(words), *bytes(8)]) + words)


def behind_scan(stream: bytes, *added: bytes) -> bytes:
    """A JPEG stream with segments between its scan and EOI."""
    return stream[:-2] + b"".join(added) + stream[-2:]


def with_segments(stream: bytes, *added: bytes, before_sos: bool = False) -> bytes:
    """A JPEG stream with segments put in behind SOI or right before SOS."""
    at = next(at for marker, at, _ in segments(stream) if marker == SOS) if before_sos else 2
    return stream[:at] + b"".join(added) + stream[at:]


def scans(stream: bytes) -> list[bytes]:
    """Each scan of a JPEG stream with its header, tables before the next one left out."""
    found, at = [], stream.index(bytes((0xFF, SOS)))
    while at >= 0:
        following = stream.find(bytes((0xFF, SOS)), at + 2)
        end = stream.find(bytes((0xFF, DHT)), at)
        stop = following if following >= 0 else len(stream) - 2
        found.append(stream[at : end if at < end < stop else stop])
        at = following
    return found


def again(stream: bytes, other: bytes, number: int = 0) -> bytes:
    """A JPEG stream with one of another's scans behind its own."""
    return stream[:-2] + scans(other)[number] + stream[-2:]


def apart(pixels: Pixels, quality: int = 80) -> bytes:
    """A baseline JPEG whose three components are grey pictures, each in a scan of its own."""
    planes = [bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels[..., i]), quality)) for i in range(3)]
    tables = split(planes[0])[0][2:-2]
    at = next(at for marker, at, _ in segments(planes[0]) if marker == SOF0)
    rows = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    frame = segment(SOF0, planes[0][at + 4 : at + 9] + b"\3" + rows)
    head = segment(SOS, bytes((1, 1, 0, 0, 63, 0)))
    coded = [scans(plane)[0][len(head) :] for plane in planes]
    parts = (segment(SOS, bytes((1, number, 0, 0, 63, 0))) + scan for number, scan in enumerate(coded, 1))
    return b"\xff\xd8" + tables + frame + b"".join(parts) + b"\xff\xd9"


def with_j2k_comment(stream: bytes, payload: bytes, *, tile_part: bool = False) -> bytes:
    """A codestream with a COM segment in its main header, or in the header of its first tile-part."""
    comment = struct.pack(">HHH", J2K_COM, len(payload) + 4, 1) + payload
    sot = _find_sot(stream)
    if not tile_part:
        return stream[:sot] + comment + stream[sot:]
    length = int.from_bytes(stream[sot + 6 : sot + 10], "big")
    grown = (length + len(comment) if length else 0).to_bytes(4, "big")
    return stream[: sot + 6] + grown + stream[sot + 10 : sot + 12] + comment + stream[sot + 12 :]


def with_j2k_segment(stream: bytes, marker: int, payload: bytes) -> bytes:
    """A codestream with one more segment at the end of its main header."""
    sot = _find_sot(stream)
    return stream[:sot] + struct.pack(">HH", marker, len(payload) + 2) + payload + stream[sot:]


def longer_j2k_segment(stream: bytes, marker: int, more: bytes) -> bytes:
    """A codestream with words behind the content of one of its main header's segments."""
    at = 2
    while int.from_bytes(stream[at : at + 2], "big") != marker:
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    length = int.from_bytes(stream[at + 2 : at + 4], "big")
    grown = struct.pack(">HH", marker, length + len(more))
    return stream[:at] + grown + stream[at + 4 : at + 2 + length] + more + stream[at + 2 + length :]


def behind_packets(stream: bytes, words: bytes) -> bytes:
    """A codestream of one tile-part with words between its last packet and EOC."""
    sot = _find_sot(stream)
    length = int.from_bytes(stream[sot + 6 : sot + 10], "big")
    grown = (length + len(words) if length else 0).to_bytes(4, "big")
    return stream[: sot + 6] + grown + stream[sot + 10 : -2] + words + stream[-2:]


def _find_sot(stream: bytes) -> int:
    at = 2
    while int.from_bytes(stream[at : at + 2], "big") != J2K_SOT:
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return at
