"""How a picture leaves: colours as stored, with their profile, or as sRGB; JPEG, PNG or WebP."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from PIL import Image, ImageCms

from coverslip.errors import DamagedSlide, StorageFailed
from coverslip.tiff import tags as t
from coverslip.tiff.structure import open_tiff

QUALITY: Final = 90
_FULL_COLOUR: Final = 0
"""4:4:4: a derived picture is a second generation, and stains are told apart by colour."""
_PROFILES: Final = 16


class Format(StrEnum):
    """A file format browsers show."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """As in Content-Type."""
        return "image/jpeg" if self is Format.JPG else f"image/{self.value}"


class Colour(StrEnum):
    """What is done about the scanner's colour profile."""

    RAW = "raw"
    """The stored values."""
    SRGB = "srgb"
    """Converted to sRGB, where the slide has a profile."""
    EMBED = "embed"
    """The stored values with the slide's profile in the file."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a derived picture is written."""

    format: Format = Format.JPG
    quality: int = QUALITY
    """1…100, for JPEG and WebP."""
    colour: Colour = Colour.RAW

    @property
    def key(self) -> str:
        """Equal for equal bytes."""
        return f"{self.format}-{0 if self.format is Format.PNG else self.quality}-{self.colour}"


def encode(picture: Image.Image, encoding: Encoding, profile: bytes | None = None) -> bytes:
    """A complete file. `profile` is the slide's own; raises DamagedSlide when it is needed and cannot be used."""
    embedded = None
    if profile is not None and encoding.colour is Colour.SRGB:
        picture = to_srgb(picture, profile)
    if profile is not None and encoding.colour is Colour.EMBED:
        embedded = profile
    out = io.BytesIO()
    match encoding.format:
        case Format.JPG:
            picture = picture if picture.mode in ("RGB", "L") else picture.convert("L")
            picture.save(out, "JPEG", quality=encoding.quality, subsampling=_FULL_COLOUR, icc_profile=embedded)
        case Format.PNG:
            picture.save(out, "PNG", compress_level=3, icc_profile=embedded)
        case Format.WEBP:
            picture = picture.convert("RGB") if picture.mode == "1" else picture
            picture.save(out, "WEBP", quality=encoding.quality, method=2, icc_profile=embedded)
    return out.getvalue()


def profile_of(clean: Path) -> bytes | None:
    """The ICC profile of a clean slide's first image, None when it has none.

    Raises what opening a TIFF raises, StorageFailed when the file cannot be read.
    """
    try:
        with closing(open_tiff(clean)) as tiff:
            return tiff.pages[0].raw(t.ICC_PROFILE) or None
    except OSError as error:
        raise StorageFailed("the slide cannot be opened", where="slide") from error


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """The picture's colours as sRGB values. Raises DamagedSlide when the profile cannot be used."""
    if picture.mode != "RGB":
        return picture
    try:
        converted = ImageCms.applyTransform(picture, _transform(profile))
    except (ImageCms.PyCMSError, ValueError, OSError) as error:
        raise DamagedSlide("the colour profile cannot be used", where="icc") from error
    assert converted is not None  # not in place
    return converted


@lru_cache(_PROFILES)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
