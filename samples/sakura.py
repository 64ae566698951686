"""A tiny Sakura slide: an SQLite database with one JPEG per colour and tile.

Source: OpenSlide `openslide-vendor-sakura.c`: tiles are named `T;x|y;downsample;colour;plane`.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import simplejpeg

from coverslip.geometry import Size
from samples.tissue import Tissue, shrunk

TILE = 128
TABLES = """
    CREATE TABLE DataManagerSQLiteConfigXPO (TableName TEXT);
    CREATE TABLE tiles (id TEXT PRIMARY KEY, data BLOB);
    CREATE TABLE SVSlideDataXPO (OID INTEGER, SlideId TEXT, Date TEXT, Creator TEXT, Description TEXT,
        DiagnosisCode TEXT, Keywords TEXT, m_labelScan INTEGER, m_overviewScan INTEGER);
    CREATE TABLE SVHRScanDataXPO (OID INTEGER, ParentSlide INTEGER, ScanId TEXT, Date TEXT, Name TEXT,
        Description TEXT, FocussingMethod TEXT, ResolutionMmPerPix REAL,
        NominalLensMagnification REAL, ThumbnailImage BLOB);
    CREATE TABLE SVScannedImageDataXPO (OID INTEGER, Image BLOB);
    INSERT INTO DataManagerSQLiteConfigXPO VALUES ('tiles');
"""


def write(path: Path, size: Size = Size(256, 256), *, name: str = "none", seed: int = 0) -> Path:
    """Write two levels; `name` is who made the slide."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(TABLES)
        header = struct.pack("<5I", TILE, size.width, size.height, 0, 1)
        rows: list[tuple[str, object]] = [("++MagicBytes", "SVGigaPixelImage"), ("Header", header)]
        for downsample in (1, 2):
            level = shrunk(pixels, downsample)
            for y in range(0, level.shape[0], TILE):
                for x in range(0, level.shape[1], TILE):
                    cut = level[y : y + TILE, x : x + TILE]
                    place = f"{x * downsample}|{y * downsample};{downsample}"
                    rows += [(f"T;{place};{colour};0", _gray(cut[..., colour])) for colour in range(3)]
        database.executemany("INSERT INTO tiles VALUES (?, ?)", rows)
        database.execute("INSERT INTO SVSlideDataXPO VALUES (1, '1', '', ?, '', '', '', 1, 1)", (name,))
        database.execute("INSERT INTO SVHRScanDataXPO VALUES (1, 1, '1', '', '', '', '', 0.0005, 20.0, NULL)")
    return path


def _gray(plane: object) -> bytes:
    import numpy as np

    content: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(plane)[..., None], 80, "GRAY")
    return content
