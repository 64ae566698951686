"""A tiny Zeiss CZI: two levels of uncompressed tiles, metadata XML, an empty list of attachments.

Source: ZISRAW (CZI) file format, design specification 1.2.2.
"""

from __future__ import annotations

import struct
from pathlib import Path

from coverslip.geometry import Size
from samples.tissue import Pixels, Tissue, shrunk

TILE = 64
BGR24, UNCOMPRESSED = 3, 0
_ENTRY = struct.Struct("<2siqiibB4si")
_DIMENSION = struct.Struct("<4siifi")


def write(path: Path, size: Size = Size(256, 192), *, name: str = "none", seed: int = 0) -> Path:
    """Write one scene; `name` is what stands in the metadata."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    out = bytearray(_segment("ZISRAWFILE", bytes(512)))
    entries = [_tile(out, pixels, 1, x, y) for y in range(0, size.height, TILE) for x in range(0, size.width, TILE)]
    small = shrunk(pixels, 2)
    entries += [
        _tile(out, small, 2, x, y) for y in range(0, small.shape[0], TILE) for x in range(0, small.shape[1], TILE)
    ]
    directory = _append(out, "ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    words = _metadata(size, name).encode()
    metadata = _append(out, "ZISRAWMETADATA", struct.pack("<2i248x", len(words), 0) + words)
    attachments = _append(out, "ZISRAWATTDIR", struct.pack("<i252x", 0))
    struct.pack_into(
        "<4i16s16siqqiq", out, 32, 1, 0, 0, 0, b"p" * 16, b"f" * 16, 0, directory, metadata, 0, attachments
    )
    path.write_bytes(bytes(out))
    return path


def _tile(out: bytearray, pixels: Pixels, downsample: int, x: int, y: int) -> bytes:
    """Append one subblock; its directory entry."""
    cut = pixels[y : y + TILE, x : x + TILE, ::-1]
    height, width, _ = cut.shape
    sides = ((b"X", x, width), (b"Y", y, height))
    dimensions = b"".join(
        _DIMENSION.pack(side, start * downsample, stored * downsample, 0.0, stored) for side, start, stored in sides
    )
    scene = _DIMENSION.pack(b"S", 0, 1, 0.0, 1)
    entry = _ENTRY.pack(b"DV", BGR24, len(out), 0, UNCOMPRESSED, 0, 0, b"", 3) + dimensions + scene
    data = cut.tobytes()
    _append(out, "ZISRAWSUBBLOCK", (struct.pack("<2iq", 0, 0, len(data)) + entry).ljust(256, b"\0") + data)
    return entry


def _append(out: bytearray, name: str, content: bytes) -> int:
    at = len(out)
    out += _segment(name, content)
    return at


def _segment(name: str, content: bytes) -> bytes:
    return struct.pack("<16s2q", name.encode(), len(content), len(content)) + content


def _metadata(size: Size, name: str) -> str:
    image = f"<SizeX>{size.width}</SizeX><SizeY>{size.height}</SizeY><SizeS>1</SizeS>"
    scaling = "".join(f'<Distance Id="{side}"><Value>5e-07</Value></Distance>' for side in "XY")
    return (
        '<?xml version="1.0"?><ImageDocument><Metadata><Information><User>'
        f"<Name>{name}</Name></User><Image>{image}</Image></Information>"
        f"<Scaling><Items>{scaling}</Items></Scaling></Metadata></ImageDocument>"
    )
