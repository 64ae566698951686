"""What derived pictures need beside the tiles: a clean slide's own levels, its colour profile, its other pictures."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from openslide import OpenSlide, OpenSlideError
from PIL import Image

from coverslip.archive.archive import Archive
from coverslip.elements import ImageRole
from coverslip.errors import DamagedSlide
from coverslip.pyramid.colour import profile_of
from coverslip.pyramid.native import Native
from service.copies import Copies
from service.forgetting import Artefact
from service.shelf import Opened, file_of

T = TypeVar("T")

REMEMBERED = 64
"""Slides whose parsed structure is kept."""
_ROLES = {"thumbnail": ImageRole.THUMBNAIL, "macro": ImageRole.OVERVIEW, "label": ImageRole.LABEL}
"""OpenSlide's names for other pictures, and ours."""


class Sources:
    """Facts of clean slides, read once; every method blocks."""

    def __init__(self, archive: Archive, copies: Copies) -> None:
        """Nothing is opened before it is asked for; `copies` fetches what does not lie here."""
        self._archive = archive
        self._copies = copies
        self._known: OrderedDict[tuple[str, str, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def native(self, opened: Opened) -> Native:
        """The slide's own levels; raises what opening a TIFF raises."""
        return self._once("native", opened, Native)

    def profile(self, opened: Opened) -> bytes | None:
        """The slide's ICC profile; raises what opening a TIFF raises."""
        return self._once("profile", opened, profile_of)

    def associated(self, opened: Opened) -> dict[str, Image.Image]:
        """The pictures the policy kept beside the pyramid, by role; what it removed is not in the file."""
        try:
            with OpenSlide(self._clean(opened)) as slide:
                found = slide.associated_images
                return {str(_ROLES[name]): found[name].convert("RGB") for name in found if name in _ROLES}
        except (OpenSlideError, OSError) as error:
            raise DamagedSlide("the slide's other pictures cannot be read", where="associated") from error

    def held(self) -> set[Artefact]:
        """See `Holder.held`."""
        with self._lock:
            known = {(sid, artefact) for _, sid, artefact in self._known}
        return known | self._copies.held()

    def forget(self, gone: Collection[Artefact]) -> None:
        """See `Holder.forget`."""
        with self._lock:
            for key in [key for key in self._known if key[1:] in gone]:
                del self._known[key]
        self._copies.forget(gone)

    def _clean(self, opened: Opened) -> Path:
        slide = opened.slide
        return self._copies.path((slide.sid, slide.artefact or ""), file_of(self._archive, slide, slide.clean_name))

    def _once(self, kind: str, opened: Opened, read: Callable[[Path], T]) -> T:
        key = (kind, opened.slide.sid, opened.slide.artefact or "")
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                known: T = self._known[key]
                return known
        found = read(self._clean(opened))
        with self._lock:
            self._known[key] = found
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found
