"""Pictures with words in them: label, macro, and the strips they are stored in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samples.tissue import Pixels

PAPER, INK, GLASS = (252, 250, 240), (12, 12, 28), (214, 216, 214)


def label(lines: Sequence[str], width: int = 387, height: int = 463) -> Pixels:
    """A paper label: lines of text and bars that look like a barcode."""
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    size = max(10, width // 16)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        for part, piece in enumerate(_pieces(line)):
            draw.text((8, 8 + (3 * number + part) * (size + 6)), piece, fill=INK, font=font)
    rng = np.random.default_rng(sum(map(ord, "".join(lines))))
    for x in range(12, width - 12, 6):
        draw.rectangle((x, height * 3 // 4, x + int(rng.integers(0, 5)), height - 12), fill=INK)
    return np.asarray(picture)


def _pieces(line: str, length: int = 20) -> list[str]:
    return [line[at : at + length] for at in range(0, len(line), length)]


def macro(lines: Sequence[str], tissue: Pixels, width: int = 1280, height: int = 431) -> Pixels:
    """The whole glass from afar: the label at its left end, the specimen right of it."""
    picture = Image.new("RGB", (width, height), GLASS)
    picture.paste(Image.fromarray(label(lines, width // 3, height - 20)), (8, 10))
    specimen = Image.fromarray(tissue)
    specimen.thumbnail((width // 2, height - 60))
    picture.paste(specimen, (width // 3 + (width * 2 // 3 - specimen.width) // 2, 30))
    return np.asarray(picture)


def strips(pixels: Pixels, rows: int, *, padded: bool = False) -> Iterator[Pixels]:
    """Full-width bands of `rows` rows; the last one shorter, unless `padded`."""
    for top in range(0, pixels.shape[0], rows):
        band = pixels[top : top + rows]
        if padded and len(band) < rows:
            band = np.pad(band, ((0, rows - len(band)), (0, 0), (0, 0)), mode="edge")
        yield np.ascontiguousarray(band)
