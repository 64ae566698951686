"""The two files under judgement, walked: the clean slide, and the source where it is a TIFF."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from coverslip.errors import DamagedSlide, InputError, LimitExceeded
from coverslip.slide import Route
from coverslip.verify.pages import Page, level_pages, pictures
from coverslip.verify.planes import Stack, stack_of
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import Tiff, walk
from coverslip.verify.utility import Walked


@dataclass(frozen=True, slots=True)
class Side:
    """A TIFF under judgement: the clean slide, or the source where it is one."""

    file: Bytes
    tiff: Tiff
    pages: tuple[Page, ...]
    levels: tuple[Page, ...]
    path: Path
    stack: Stack | None
    """The planes, where the slide says which page is which."""

    @property
    def walked(self) -> Walked:
        """What the utility check asks for."""
        return Walked(self.path, self.file, self.tiff, self.levels, self.stack)


def open_side(path: Path, stack: ExitStack) -> Side:
    """Walk one file; `stack` closes it. Raises `DamagedSlide`, `LimitExceeded` and `StorageFailed`."""
    file = stack.enter_context(Bytes(path))
    tiff = walk(file)
    pages = pictures(file, tiff)
    if not pages:
        raise DamagedSlide("holds no picture", where="ifd[0]")
    planes = stack_of(file, tiff, pages)
    return Side(file, tiff, pages, planes.pages if planes else level_pages(pages), path, planes)


def open_source(source: Path | None, route: Route, stack: ExitStack) -> Side | None:
    """The source as a TIFF; None when it is absent or, on the converted route, something the verifier cannot walk.

    Raises what `open_side` raises. What is beyond the limits is refused on either route: OpenSlide, which would be
    asked instead, ends its process where there is not as much memory as a file wants.
    """
    if source is None or source.is_dir():
        return None
    try:
        return open_side(source, stack)
    except LimitExceeded:
        raise
    except InputError:
        if route is Route.SAME_CONTAINER:
            raise
        return None
