"""What a reader is and what it gives: one vendor, one file, one line in the table of `coverslip.formats`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from openslide import OpenSlide
from openslide.lowlevel import OpenSlideError

from coverslip.elements import Element, ImageRole, Inventory
from coverslip.errors import UnsupportedSlide
from coverslip.formats.series import representative
from coverslip.slide import Route, SlideFacts
from coverslip.tiff.structure import Directory


class Slide(Protocol):
    """An opened slide: facts for everybody, elements for the policy. Writers know the concrete kinds."""

    @property
    def path(self) -> Path:
        """The file, or the folder of a slide in several files."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file the slide consists of."""
        ...

    @property
    def facts(self) -> SlideFacts:
        """Levels, resolution, magnification."""
        ...

    @property
    def route(self) -> Route:
        """How the clean slide comes to be."""
        ...

    def inventory(self) -> Inventory:
        """Every element, whether understood or not."""
        ...

    def close(self) -> None:
        """Release files."""
        ...


@dataclass(frozen=True)
class Probe:
    """What detection may look at: the path, the first bytes, and what OpenSlide calls the file (asked once)."""

    path: Path
    head: bytes

    @cached_property
    def openslide_vendor(self) -> str | None:
        """OpenSlide's word for the vendor; None when it takes no such file."""
        try:
            vendor: str | None = OpenSlide.detect_format(representative(self.path))
        except (OpenSlideError, UnsupportedSlide):
            return None
        return vendor


class Reader(Protocol):
    """A vendor's reader."""

    @property
    def name(self) -> str:
        """Short word for tables and reports."""
        ...

    @property
    def title(self) -> str:
        """What the documentation calls the format."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File name endings, for documentation only: content decides."""
        ...

    @property
    def route(self) -> Route:
        """How slides of this format are written."""
        ...

    def detect(self, probe: Probe) -> str | None:
        """None when this reader takes the file, otherwise one sentence why not."""
        ...

    def open(self, path: Path) -> Slide:
        """Open the slide. Raises InputError."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A top-level image of a TIFF slide and what it shows."""

    directory: Directory
    role: ImageRole

    @property
    def path(self) -> str:
        """Where its picture stands in the inventory."""
        return f"{self.directory.path}/image[{self.role.value}]"

    @property
    def is_level(self) -> bool:
        """Whether the page is part of the pyramid."""
        return self.role in (ImageRole.BASE, ImageRole.LEVEL)


class Description(Protocol):
    """A vendor's ImageDescription, parsed."""

    def elements(self, path: str) -> tuple[Element, ...]:
        """Its parts as elements below `path`."""
        ...

    def rebuild(self, path: str, keeps: Callable[[str], bool]) -> bytes:
        """The text written anew from the parts that stay; empty when there is nothing to write."""
        ...
