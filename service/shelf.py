"""Opened pyramids, and for each of them who may see it: what the tile route asks instead of the catalogue.

An answer is believed for one second, so the catalogue is asked once a second for a slide that is being looked at,
beside the path of the tiles; a release or a withdrawal shows within that second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from coverslip.archive.archive import Archive
from coverslip.archive.records import SlideRecord
from coverslip.archive.states import AT_WORK, READABLE, State
from coverslip.archive.store import Stored
from coverslip.errors import NotFound, StorageFailed
from coverslip.pyramid import Pyramid
from coverslip.pyramid.on_request import Make, made
from service.caching import http_date
from service.crews import LOOKING
from service.forgetting import Artefact

BELIEVED = 1.0
"""Seconds."""
OPENED = 128
"""Pyramids kept open; each holds two file descriptors and an index."""


@dataclass(slots=True)
class Opened:
    """One slide as the tile route knows it."""

    slide: SlideRecord
    pyramid: Pyramid | None
    """None while there are no tiles to give."""
    believed_until: float
    modified: int = 0
    """When its tiles were made, in seconds of the epoch; 0 while there are none."""
    dated: bytes = b""
    """Last-Modified as it goes on the wire."""
    job: str | None = None
    """What works on it while there are no tiles."""

    @property
    def public(self) -> bool:
        """Whether anybody may look."""
        return self.slide.state is State.RELEASED


def file_of(archive: Archive, slide: SlideRecord, name: str | None) -> Stored:
    """A file of a slide's clean copy; raises `NotFound`, also when nothing of the slide may be read."""
    if slide.state not in READABLE or name is None:
        raise NotFound
    return archive.file(slide, name)


class Shelf:
    """A bounded collection of opened slides, the least used given up first."""

    def __init__(self, archive: Archive, make: Make = made) -> None:
        """Nothing is opened before it is asked for; `make` makes tiles of pieces no browser shows."""
        self._archive, self._make = archive, make
        self._opened: OrderedDict[str, Opened] = OrderedDict()
        self._opening: dict[str, asyncio.Task[Opened]] = {}

    def ready(self, sid: str) -> Opened | None:
        """The slide if it needs no looking up: the hot path, no await and no lock."""
        found = self._opened.get(sid)
        return found if found is not None and found.believed_until > time.monotonic() else None

    async def find(self, sid: str) -> Opened:
        """The slide, looked up at most once at a time; raises `NotFound`, `StorageFailed` or `Overloaded`."""
        if found := self.ready(sid):
            return found
        task = self._opening.get(sid)
        if task is None:
            task = self._opening[sid] = asyncio.create_task(LOOKING.run(self._look, sid))
            task.add_done_callback(lambda _: self._opening.pop(sid, None))
        found = await asyncio.shield(task)
        self._opened[sid] = found
        self._opened.move_to_end(sid)
        while len(self._opened) > OPENED:
            self._opened.popitem(last=False)
        return found

    def held(self) -> set[Artefact]:
        """See `Holder.held`; from any thread."""
        slides = [opened.slide for opened in tuple(self._opened.values()) if opened.pyramid is not None]
        return {(slide.sid, slide.artefact) for slide in slides if slide.artefact is not None}

    def forget(self, gone: Collection[Artefact]) -> None:
        """See `Holder.forget`; whoever asks again has it looked up again."""
        for sid, artefact in gone:
            found = self._opened.get(sid)
            if found is not None and found.slide.artefact == artefact:
                self._opened.pop(sid, None)

    def _look(self, sid: str) -> Opened:
        known = self._opened.get(sid)
        try:
            slide = self._archive.catalog.slide(sid)
        except NotFound:
            self._opened.pop(sid, None)
            raise
        pyramid, modified = self._pyramid(slide, known)
        dated = f"last-modified: {http_date(modified)}\r\n".encode() if modified else b""
        job = self._archive.catalog.open_job(sid) if slide.state in AT_WORK else None
        return Opened(slide, pyramid, time.monotonic() + BELIEVED, modified, dated, job)

    def _pyramid(self, slide: SlideRecord, known: Opened | None) -> tuple[Pyramid | None, int]:
        if slide.state not in READABLE or slide.clean_name is None:
            return None, 0
        if known and known.pyramid and known.slide.version == slide.version:
            return known.pyramid, known.modified
        try:
            index = file_of(self._archive, slide, slide.index)
            clean = file_of(self._archive, slide, slide.clean_name)
            return _open(clean, index, self._make), int(index.since.timestamp())
        except (StorageFailed, NotFound) as error:
            # Released a moment ago, the record moves first, the folder follows; or a bucket gives no answer.
            if known is not None and known.pyramid is not None and known.slide.artefact == slide.artefact:
                return known.pyramid, known.modified
            if isinstance(error, StorageFailed):
                raise
            return None, 0


def _open(clean: Stored, index: Stored, make: Make) -> Pyramid:
    if clean.path is not None and index.path is not None:
        return Pyramid.open(clean.path, index.path, make=make)
    return Pyramid.over((clean.read, clean.size), (index.read, index.size), make=make)
