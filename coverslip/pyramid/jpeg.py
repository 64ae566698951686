"""The little of JPEG the pyramid needs: whole files out of TIFF tiles, and how the source was quantised.

Source: ITU-T T.81 annex B (markers), TIFF Technical Note 2 (JPEGTables), Adobe TN 5116 (APP14 and its transform byte).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from coverslip.errors import DamagedSlide

SOI: Final = b"\xff\xd8"
_DQT, _DHT, _DRI, _APP0, _APP14, _SOS, _EOI = 0xDB, 0xC4, 0xDD, 0xE0, 0xEE, 0xDA, 0xD9
_TABLES: Final = (_DQT, _DHT, _DRI)
_BROWSER_FRAMES: Final = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive Huffman: what a browser decodes, at eight bits."""

_LUMA: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""T.81 table K.1, whose scaled forms nearly every encoder writes."""


@dataclass(frozen=True, slots=True)
class JpegForm:
    """How the tiles of one level become JPEG files, and how to encode others like them."""

    blob: bytes = field(repr=False)
    """Everything in front of the tile's own bytes: SOI, APP14, tables. Empty when tiles are whole files already."""
    skip: int
    """How many of the tile's first bytes the blob replaces: its SOI."""
    components: int
    rgb: bool
    """Components are red, green, blue as they stand; otherwise luma and chroma, or grey."""
    subsampling: str
    """`444`, `422`, `420`, `440`, `411`, as the encoder calls it."""
    quality: int
    """IJG quality whose luma table is nearest the source's."""


def segments(data: bytes, where: str) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment up to the first scan. Raises DamagedSlide when they do not chain."""
    if data[:2] != SOI:
        raise DamagedSlide("a JPEG does not begin as one", where=where)
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xFF, _EOI):
            at += 1 if marker == 0xFF else len(data)
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            break
        yield marker, data[at + 4 : at + 2 + length]
        if marker == _SOS:
            return
        at += 2 + length


def form_of(tables: bytes, tile: bytes, photometric_rgb: bool, where: str) -> JpegForm | None:
    """How a level's tiles become JPEG files; None when a browser would not show them.

    `tables` is the JPEGTables field or empty, `tile` the beginning of one tile up to its scan. Where the stream itself
    names its colours (JFIF or Adobe marker) that is the truth, else TIFF's photometric interpretation is: Aperio
    writes RGB JPEG without a marker, and every decoder guesses wrong.
    """
    shared = list(segments(tables, where)) if tables else []
    own = list(segments(tile, where))
    frame = next((payload for marker, payload in own if marker in _BROWSER_FRAMES), b"")
    components = frame[5] if len(frame) > 5 else 0
    if len(frame) < 6 + 3 * components or frame[0] != 8 or components not in (1, 3):
        return None
    transform = _transform(own)
    rgb = components == 3 and (photometric_rgb if transform is None else transform == 0)
    named = transform is not None or components == 1
    blob = b"".join(_segment(marker, payload) for marker, payload in shared if marker in _TABLES)
    if not named:
        blob = _adobe(0 if rgb else 1) + blob
    blob = SOI + blob if blob else b""
    return JpegForm(blob, 2 if blob else 0, components, rgb, _subsampling(frame), _quality(shared + own))


def _transform(own: list[tuple[int, bytes]]) -> int | None:
    """The colour transform the tile's own markers name, None when they are silent."""
    if any(marker == _APP0 and payload[:5] == b"JFIF\0" for marker, payload in own):
        return 1
    return next((p[11] for m, p in own if m == _APP14 and p[:5] == b"Adobe" and len(p) >= 12), None)


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _adobe(transform: int) -> bytes:
    return _segment(_APP14, b"Adobe\0\x64" + bytes(4) + bytes((transform,)))


def _subsampling(frame: bytes) -> str:
    """The nearest name an encoder knows for the frame's sampling factors."""
    if frame[5] == 1:
        return "444"
    across, down = divmod(frame[7], 16)
    chroma_across, chroma_down = divmod(frame[10], 16)
    ratio = (across // max(1, chroma_across), down // max(1, chroma_down))
    return {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}.get(ratio, "420")


def quantisers(found: list[tuple[int, bytes]]) -> dict[int, tuple[int, ...]]:
    """Quantisation tables by number, in zigzag order (T.81 B.2.4.1)."""
    tables: dict[int, tuple[int, ...]] = {}
    for payload in (payload for marker, payload in found if marker == _DQT):
        at = 0
        while at < len(payload):
            wide, number = divmod(payload[at], 16)
            step = 2 if wide else 1
            raw = payload[at + 1 : at + 1 + 64 * step]
            if len(raw) < 64 * step:
                break
            tables[number] = tuple(int.from_bytes(raw[i : i + step], "big") for i in range(0, 64 * step, step))
            at += 1 + 64 * step
    return tables


def _quality(found: list[tuple[int, bytes]]) -> int:
    """IJG quality with the first table's mean quantiser: libjpeg's scaling of T.81 table K.1, inverted."""
    tables = quantisers(found)
    if not tables:
        return 75
    scale = 100 * sum(tables[min(tables)]) / sum(_LUMA)
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return max(1, min(100, round(quality)))
