"""What lies in the archive of slides and uploads that its catalogue never heard of: nobody deletes it unasked.

No crash leaves any, since a record comes before its files and is never deleted. A catalogue from a backup does, and so
does one that belongs to another archive: whoever tidied after those would delete what cannot be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import chain

from coverslip.archive.archive import Archive
from coverslip.archive.arrivals import Arrivals
from coverslip.archive.catalog import Catalog
from coverslip.archive.clean import CleanSlides
from coverslip.archive.storage import Zone
from coverslip.archive.store import Store


class Kind(StrEnum):
    """What a stranger would be if it were known."""

    UPLOAD = "upload"
    """Bytes that arrived and were not encrypted yet."""
    ORIGINAL = "original"
    CLEAN = "clean slide"


@dataclass(frozen=True, slots=True)
class Stranger:
    """One thing nobody knows."""

    kind: Kind
    name: str
    """Ids of ours: the upload, the original's file, or slide/artefact."""
    remove: Callable[[], None]
    """Delete it for good; raises `StorageFailed`."""


def strangers(archive: Archive) -> tuple[Stranger, ...]:
    """Everything of that kind; looks at all that is there. Raises `StorageFailed`."""
    catalog = archive.catalog
    found = (
        _uploads(catalog, archive.arriving),
        _originals(catalog, archive.originals.store),
        _slides(catalog, archive.clean),
    )
    return tuple(chain.from_iterable(found))


def _uploads(catalog: Catalog, arriving: Iterable[Arrivals]) -> Iterator[Stranger]:
    for arrivals in arriving:
        lying = arrivals.lying()
        for uid in sorted(lying - catalog.heard_of(lying)):
            yield Stranger(Kind.UPLOAD, uid, partial(arrivals.drop, uid))


def _originals(catalog: Catalog, originals: Store) -> Iterator[Stranger]:
    names = [kept.name for kept in originals.names()]
    for name in sorted(set(names) - set(catalog.of_known_uploads(names))):
        yield Stranger(Kind.ORIGINAL, name, partial(originals.remove, name))


def _slides(catalog: Catalog, clean: CleanSlides) -> Iterator[Stranger]:
    for zone in (Zone.REVIEW, Zone.RELEASED):
        lying = clean.artefacts_in(zone)
        known = catalog.standing({sid for sid, _ in lying})
        for sid, artefact in sorted(pair for pair in lying if pair[0] not in known):
            yield Stranger(Kind.CLEAN, f"{sid}/{artefact}", partial(_remove, clean, zone, sid, artefact))


def _remove(clean: CleanSlides, zone: Zone, sid: str, artefact: str) -> None:
    if zone is not Zone.REVIEW:
        clean.move_artefact(sid, artefact, source=zone, target=Zone.REVIEW)
    clean.remove_artefact(sid, artefact)
