"""Slides to build pyramids of, and an independent reader to judge them by."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from coverslip.geometry import Size
from coverslip.pyramid import BuildSummary, Pyramid, build
from samples import aperio, generic, ome

Pixels = np.ndarray


@pytest.fixture(scope="session")
def generated(tmp_path_factory) -> Callable[..., Path]:
    """A generated slide: `generated("aperio", width, height, **options)`, made once per session and options."""
    folder, made = tmp_path_factory.mktemp("slides"), {}

    def slide(vendor: str, width: int, height: int, **options) -> Path:
        key = repr((vendor, width, height, sorted(options.items())))
        if key not in made:
            write = {"aperio": aperio.write, "generic": generic.write, "ome": ome.write}[vendor]
            suffix = {"aperio": "svs", "generic": "tiff", "ome": "ome.tiff"}[vendor]
            made[key] = folder / f"{len(made)}.{suffix}"
            write(made[key], Size(width, height), identifiers=False, **options)
        return made[key]

    return slide


@pytest.fixture
def built(tmp_path) -> Callable[..., tuple[Pyramid, BuildSummary]]:
    """Build and open: `built(slide, **options)`."""
    opened = []

    def make(slide: Path, **options) -> tuple[Pyramid, BuildSummary]:
        target = tmp_path / f"{len(opened)}.pyramid"
        summary = build(slide, target, **options)
        opened.append(Pyramid.open(slide, target))
        return opened[-1], summary

    yield make
    for pyramid in opened:
        pyramid.close()


@pytest.fixture(scope="session")
def openslide_levels() -> Callable[[Path], dict[int, Pixels]]:
    """What OpenSlide shows of every level, by its downsample rounded to a power of two."""

    def levels(path: Path) -> dict[int, Pixels]:
        with openslide.OpenSlide(path) as slide:
            return {
                round(np.log2(slide.level_downsamples[level])): np.asarray(
                    slide.read_region((0, 0), level, size).convert("RGB")
                )
                for level, size in enumerate(slide.level_dimensions)
            }

    return levels


@pytest.fixture(scope="session")
def tifffile_base() -> Callable[[Path], Pixels]:
    """What tifffile shows of the first page."""

    def base(path: Path) -> Pixels:
        pixels = tifffile.imread(path, key=0)
        return pixels if pixels.ndim == 3 else pixels[..., None]

    return base


@pytest.fixture(scope="session")
def pixels_of() -> Callable[[bytes], Pixels]:
    """Decode a served tile the way a browser would: no hint about its colours."""

    def decoded(picture: bytes) -> Pixels:
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    return decoded


@pytest.fixture(scope="session")
def box() -> Callable[[Pixels], Pixels]:
    """The exact mean of two by two pixels, the edge repeated where the size is odd."""

    def halved(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        wide = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.uint16)
        mean = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2] + 2) >> 2
        return mean.astype(np.uint8)

    return halved


@pytest.fixture(scope="session")
def decibels() -> Callable[[Pixels, Pixels], float]:
    """Peak signal to noise ratio; 99 when nothing differs."""

    def psnr(one: Pixels, other: Pixels) -> float:
        error = float(((one.astype(np.float64) - other) ** 2).mean())
        return 99.0 if error == 0 else 10 * np.log10(255**2 / error)

    return psnr
