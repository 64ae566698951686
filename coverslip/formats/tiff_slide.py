"""A slide in a TIFF container whose tiles we can copy: pages with roles, elements, tiles as they will be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from coverslip.elements import Element, ElementKind, ElementPath, ImageRole, Inventory
from coverslip.errors import InputError, UnknownStructure
from coverslip.formats.contract import Description, Page
from coverslip.geometry import Mpp
from coverslip.slide import Level, Planes, Route, SlideFacts
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import Blocks, survey
from coverslip.tiff.elements import field_elements, foreign_elements, name_element, orphan_elements
from coverslip.tiff.shapes import shows_all_samples
from coverslip.tiff.structure import Directory, TiffFile


class TiffSlide:
    """Pages, their roles and their vendor's descriptions; surveys each page's tiles once, when first asked."""

    route = Route.SAME_CONTAINER

    def __init__(
        self,
        tiff: TiffFile,
        vendor: str,
        pages: tuple[Page, ...],
        *,
        mpp: Mpp | None,
        magnification: float | None,
        levels: tuple[Directory, ...] = (),
        planes: Planes | None = None,
        describe: Callable[[Directory], Description | None] = lambda directory: None,
    ) -> None:
        """Hold an open file; `describe` parses an ImageDescription, None when nothing of it is understood.

        `levels` are those of one plane where there are several, largest first; without, all levels are of the only one.

        Raises UnknownStructure for a level in no known colour space, or with samples that are no colour.
        """
        self.tiff = tiff
        self.pages = pages
        _check_samples(self.levels)
        found = _levels(levels or tuple(page.directory for page in pages if page.is_level))
        container = "bigtiff" if tiff.big else "tiff"
        self.facts = SlideFacts(vendor, container, found, mpp, magnification, planes=planes)
        self._describe = describe
        self._blocks: dict[str, Blocks] = {}

    @property
    def path(self) -> Path:
        """The file."""
        return self.tiff.path

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the slide: just the one."""
        return (self.tiff.path,)

    @property
    def levels(self) -> tuple[Page, ...]:
        """The pyramid's pages, largest first."""
        return tuple(page for page in self.pages if page.is_level)

    def description(self, directory: Directory) -> Description | None:
        """The page's parsed ImageDescription."""
        return self._describe(directory) if t.IMAGE_DESCRIPTION in directory.fields else None

    def blocks(self, directory: Directory, tick: Callable[[float], None] = lambda done: None) -> Blocks:
        """How the tiles of a page are written."""
        if directory.path not in self._blocks:
            self._blocks[directory.path] = survey(self.tiff, directory, tick)
        return self._blocks[directory.path]

    def inventory(self) -> Inventory:
        """Every element of the file. Raises InputError when a level's tiles contradict themselves."""
        return Inventory(tuple(self._elements()))

    def _elements(self) -> Iterator[Element]:
        yield name_element(self.tiff)
        roles = {page.directory.path: page for page in self.pages}
        for directory in self.tiff.walk():
            yield from self._directory_elements(directory)
            page = roles.get(directory.path)
            if page is not None or directory.has_pixels:
                yield from self._picture_elements(page or Page(directory, ImageRole.UNKNOWN))
        yield from orphan_elements(self.tiff)

    def _directory_elements(self, directory: Directory) -> Iterator[Element]:
        description = self.description(directory)
        for element in field_elements(self.tiff, directory):
            if element.name == "ImageDescription" and description is not None:
                yield from description.elements(element.path)
            else:
                yield element

    def _picture_elements(self, page: Page) -> Iterator[Element]:
        understood = page.role is not ImageRole.UNKNOWN
        yield Element(ElementPath(page.path), ElementKind.IMAGE, understood, role=page.role)
        try:
            blocks = self.blocks(page.directory)
        except InputError:
            if page.is_level:
                raise
            return  # a picture that is not written need not make sense
        yield from foreign_elements(page.directory, blocks)

    def close(self) -> None:
        """Release the file."""
        self.tiff.close()


def _check_samples(levels: tuple[Page, ...]) -> None:
    for level in levels:
        if not shows_all_samples(level.directory):
            where = level.directory.path
            raise UnknownStructure(
                "no known colour space, or samples beside its colours that no viewer shows", where=where
            )


def _levels(levels: tuple[Directory, ...]) -> tuple[Level, ...]:
    if not levels:
        raise UnknownStructure("no page of the file is a tiled image")
    width = levels[0].size.width
    return tuple(Level(found.size, found.tile_size, width / found.size.width) for found in levels)
