"""Tiles as abbreviated JPEG streams that share one set of tables (TIFF tag 347).

Source: TIFF Technical Note 2; ITU-T T.81 Annex B. Luma and chroma at full resolution (4:4:4): the source was
lossy already, and halving chroma once more smears exactly the stain colours that are measured. libjpeg's default
Huffman tables make the tables the same for every tile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import simplejpeg

from coverslip.codestreams.jpeg import DHT, DQT, FRAMES, SOS

_EOI: Final = b"\xff\xd9"
_SOI: Final = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class Parts:
    """A JPEG taken apart: what all tiles share, and what is this tile's own."""

    tables: bytes = field(repr=False)
    tile: bytes = field(repr=False)


def encode(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A whole JPEG of height × width × RGB pixels."""
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "444")
    return encoded


def take_apart(whole: bytes) -> Parts:
    """Tables (SOI, DQT, DHT, EOI) and tile (SOI, SOF, SOS, scan, EOI); nothing else of the stream survives."""
    tables, frame = bytearray(_SOI), bytearray(_SOI)
    at = 2
    while True:
        marker, end = whole[at + 1], at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        if marker in (DQT, DHT):
            tables += whole[at:end]
        elif marker in FRAMES:
            frame += whole[at:end]
        elif marker == SOS:
            return Parts(bytes(tables) + _EOI, bytes(frame) + whole[at:])
        at = end
