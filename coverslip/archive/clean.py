"""The contract of where clean slides lie: folders on a disk (`Storage`), or objects in a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from coverslip.archive.storage import Zone
from coverslip.archive.store import Store, Stored
from coverslip.durable import our_errors
from coverslip.errors import StorageFailed

PIECE: Final = 1 << 20
FETCH: Final = 8 << 20
"""Bytes of a file asked of a bucket at once."""


class CleanSlides(Protocol):
    """Whole clean slides, each under its slide's id and its artefact's name. Raises `StorageFailed` everywhere."""

    quick_to_list: bool
    """Whether looking at all that is there costs next to nothing."""

    def publish(self, draft: Path, sid: str, artefact: str) -> object:
        """Keep a finished draft for curators; durable when this returns. Raises `OutputExists` or `StorageFull`.

        A crash leaves nothing, or something no record points to.
        """

    def move_artefact(self, sid: str, artefact: str, *, source: Zone, target: Zone) -> None:
        """Move a clean slide between zones; does nothing when it is not in `source`, e.g. moved before a crash."""

    def remove_artefact(self, sid: str, artefact: str) -> None:
        """Delete what no record points to."""

    def slides_in(self, zone: Zone) -> tuple[str, ...]:
        """Ids of the slides whose files lie in a zone of their own accord, whatever the record says."""

    def artefacts_in(self, zone: Zone) -> tuple[tuple[str, str], ...]:
        """(slide, artefact) of all that lies in a zone."""

    def file(self, zone: Zone, sid: str, artefact: str, name: str) -> Stored:
        """One file of a clean slide; raises `NotFound`."""

    def abandon(self, before: datetime) -> int:
        """Delete what publications and deletions begun before that moment left behind invisibly; returns how many."""


@dataclass(frozen=True, slots=True)
class CleanFile:
    """One file of a clean slide, and since when it is there."""

    sid: str
    artefact: str
    name: str
    since: datetime


class BucketSlides:
    """Clean slides in a store. Nothing is read but through us, so the record alone says who may: no bytes move."""

    quick_to_list = False

    def __init__(self, store: Store) -> None:
        """Use names below `clean/`."""
        self._store = store

    def publish(self, draft: Path, sid: str, artefact: str) -> None:
        """See `CleanSlides.publish`; each file is durable by itself, and none is seen before the record names it."""
        for path in sorted(draft.rglob("*")):
            if path.is_file():
                self._store.put(_name(sid, artefact, path.relative_to(draft).as_posix()), _pieces(path))

    def move_artefact(self, sid: str, artefact: str, *, source: Zone, target: Zone) -> None:
        """See `CleanSlides.move_artefact`."""

    def remove_artefact(self, sid: str, artefact: str) -> None:
        """See `CleanSlides.remove_artefact`."""
        for kept in list(self._store.names(_name(sid, artefact, ""))):
            self._store.remove(kept.name)

    def slides_in(self, zone: Zone) -> tuple[str, ...]:
        """None: the record cannot be contradicted."""
        return ()

    def artefacts_in(self, zone: Zone) -> tuple[tuple[str, str], ...]:
        """All of them, in review."""
        if zone is not Zone.REVIEW:
            return ()
        return tuple(sorted({(each.sid, each.artefact) for each in self.files()}))

    def file(self, zone: Zone, sid: str, artefact: str, name: str) -> Stored:
        """See `CleanSlides.file`."""
        full = _name(sid, artefact, name)
        found = self._store.stat(full)
        return Stored(found.size, found.since, lambda length, offset: self._store.read(full, length, offset))

    def abandon(self, before: datetime) -> int:
        """See `CleanSlides.abandon`."""
        return self._store.abandon(before)

    def add(self, path: Path, sid: str, artefact: str, name: str) -> None:
        """Put one more file beside those of a clean slide; durable when this returns.

        Raises `OutputExists` or `StorageFull`.
        """
        self._store.put(_name(sid, artefact, name), _pieces(path))

    def remove_file(self, sid: str, artefact: str, name: str) -> None:
        """Delete one file that no record points to."""
        self._store.remove(_name(sid, artefact, name))

    def files(self, suffix: str = "") -> Iterator[CleanFile]:
        """Every file of every clean slide whose name ends like that; what else lies in the bucket is none of ours."""
        for kept in self._store.names("clean/"):
            match kept.name.split("/"):
                case _, sid, artefact, name if name.endswith(suffix):
                    yield CleanFile(sid, artefact, name, kept.since)


def whole(stored: Stored, sha256: str | None) -> Iterator[bytes]:
    """All of a file, a piece at a time; raises `StorageFailed` when it is not what the record says."""
    digest = hashlib.sha256()
    for at in range(0, stored.size, FETCH):
        piece = stored.read(min(FETCH, stored.size - at), at)
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise StorageFailed("A clean slide is not what was published.", where="bucket")


def _name(sid: str, artefact: str, name: str) -> str:
    return f"clean/{sid}/{artefact}/{name}"


def _pieces(path: Path) -> Iterator[bytes]:
    with our_errors(), path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
