"""What is done again and again beside the work: moves that a crash cut short, what is overdue, what nobody needs.

Each of these may run in any process, at any time, beside everything else. None deletes what the catalogue never heard
of: see `strangers`. What fails for one slide keeps no other one waiting: an upload that cannot be deleted must not be
why originals outlive their retention.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from coverslip.archive import begun, indexes
from coverslip.archive import kept as kept_drafts
from coverslip.archive.archive import Archive
from coverslip.archive.arrivals import is_over
from coverslip.archive.clean import BucketSlides
from coverslip.archive.events import SYSTEM
from coverslip.archive.originals import upload_of
from coverslip.archive.records import Upload
from coverslip.archive.states import JobState, State
from coverslip.archive.storage import Zone
from coverslip.errors import CoverslipError, NotFound, OriginalPurged, StateConflict, StorageAway

T = TypeVar("T")

ORPHAN_AGE = timedelta(hours=24)
"""What records point to no more is deleted after this long: until then somebody may be about to make the record."""
COLLECT_EVERY = timedelta(hours=1)
PURGED_AT_ONCE = 100
"""Originals one round deletes; the next round goes on."""

CLOSED = frozenset({State.QUARANTINED, State.REJECTED})
"""States in which an original lies in the closed zone."""
OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
"""States of a job that will go on where its last attempt stopped."""


def purge_overdue(archive: Archive, now: datetime) -> int:
    """Purge originals whose retention ran out, if it ever does; returns how many."""
    if archive.keep_originals is None:
        return 0
    overdue = archive.catalog.overdue_originals(now - archive.keep_originals, PURGED_AT_ONCE)

    def purge(sid: str) -> bool:
        with suppress(StateConflict, OriginalPurged):  # somebody was faster
            archive.purge(sid, SYSTEM, "its retention ran out")
            return True
        return False

    return _each(archive, overdue, purge)


def discard_originals(archive: Archive, before: datetime) -> int:
    """Delete encrypted originals nobody can open: purged ones at once, others that came before that moment.

    Those in between may be about to get their record. What belongs to no upload there ever was stays.
    """
    under_way = archive.catalog.arrivals.known()
    known = archive.catalog.original_names() | under_way.files
    dead = [each for each in archive.originals.store.names() if each.name not in known]
    old = [each.name for each in dead if each.since < before or archive.catalog.is_purged(upload_of(each.name))]
    gone = archive.catalog.of_known_uploads(old)
    count = _each(archive, gone, archive.originals.store.remove)

    def spared(name: str, token: str) -> bool:
        return token in under_way.tokens or (bool(name) and not archive.catalog.of_known_uploads([name]))

    return count + archive.originals.store.abandon(before, spared)


def collect(archive: Archive, now: datetime) -> int:
    """Delete what records point to no more; in a bucket, where looking costs, once an hour by one process."""
    if not archive.clean.quick_to_list and not archive.catalog.take_duty(
        "collect", secrets.token_hex(8), COLLECT_EVERY
    ):
        return 0
    before = now - ORPHAN_AGE
    count = discard_orphans(archive) + discard_originals(archive, before) + archive.clean.abandon(before)
    count += discard_indexes(archive, before)
    return count + archive.arrivals.collect(before)


def reconcile(archive: Archive) -> int:
    """Finish moves that a crash interrupted between record and files; returns how many there were.

    For releases looking at the review zone is enough: a folder leaves the released zone before its record says so.
    """
    closed = _each(archive, archive.storage.incoming_uploads(), lambda uid: _finish_closing(archive, uid))
    lying = archive.clean.slides_in(Zone.REVIEW)
    known = archive.catalog.standing(lying)
    released = [sid for sid in lying if sid in known and known[sid].state is State.RELEASED]
    return closed + _each(archive, released, archive.show)


def expire_uploads(archive: Archive, now: datetime) -> int:
    """End uploads whose time is over and delete what arrived of them; returns how many."""

    def end(upload: Upload) -> None:
        with suppress(StateConflict):  # it was finished or ended a moment ago
            archive.terminate_upload(upload.uid, SYSTEM)

    return _each(archive, archive.catalog.expired_uploads(now), end)


def discard_ended(archive: Archive) -> int:
    """Delete what arrived of uploads that ended or lie encrypted by now; returns how many."""
    ended = [(at, uid) for at in archive.arriving for uid in at.ended()]
    return _each(archive, ended, lambda each: each[0].drop(each[1]))


def discard_drafts(archive: Archive) -> int:
    """Delete drafts that nobody works on any more and no retry can use; returns how many.

    What a crash left half deleted has no slide any more. Drafts of a slide the catalogue never heard of go a day later:
    they can be made again, and hold plain text.
    """
    drafts = archive.storage.drafts()
    known = archive.catalog.standing({sid for sid, _, _ in drafts})
    dead = [path for sid, artefact, path in drafts if sid in known and not _is_wanted(archive, sid, artefact)]
    dead += [path for sid, _, path in drafts if not sid or (sid not in known and _is_old(path))]
    return _each(archive, dead, archive.storage.discard)


def discard_orphans(archive: Archive) -> int:
    """Delete what was published of a slide whose record points to something else; returns how much that was.

    A crash between name and record leaves it.
    """
    lying = archive.clean.artefacts_in(Zone.REVIEW)
    known = archive.catalog.standing({sid for sid, _ in lying})
    doubtful = ((sid, name) for sid, name in lying if sid in known and known[sid].artefact != name)
    return _each(archive, doubtful, lambda each: _discard_orphan(archive, *each))


def discard_indexes(archive: Archive, before: datetime) -> int:
    """Delete indexes in a bucket that no slide has had a use for since that moment; returns how many."""
    return indexes.discard(archive.catalog, archive.clean, before) if isinstance(archive.clean, BucketSlides) else 0


def _each(archive: Archive, found: Iterable[T], act: Callable[[T], bool | None]) -> int:
    """How often `act` did something (all but False): what fails is tried again next round, when all others had a turn.

    Raises that error at the end then, and `StorageFailed` at once where the database or the bucket is away.
    """
    done, failed = 0, None
    for each in found:
        try:
            done += act(each) is not False
        except StorageAway:
            raise
        except CoverslipError as error:
            archive.catalog.ping()
            failed = error
    if failed is not None:
        raise failed
    return done


def _is_wanted(archive: Archive, sid: str, draft: str) -> bool:
    artefact, _, suffix = draft.partition(".")
    # In this order: an attempt that ends in between has written down what it leaves by the time we look.
    if archive.catalog.is_running(sid, artefact):
        return True
    match f".{suffix}":
        case kept_drafts.SUFFIX:
            return archive.catalog.kept_draft(sid) == artefact
        case begun.SUFFIX:
            return any(job.state in OPEN for job in archive.catalog.jobs(sid))
    return False


def _discard_orphan(archive: Archive, sid: str, artefact: str) -> bool:
    # In this order: an attempt that ends in between has its pointer by the time we look.
    if archive.catalog.is_running(sid, artefact) or archive.catalog.slide(sid).artefact == artefact:
        return False
    archive.clean.remove_artefact(sid, artefact)
    return True


def _finish_closing(archive: Archive, uid: str) -> bool:
    try:
        sid = archive.catalog.upload(uid).sid
    except NotFound:
        return False
    if sid is None:
        return False
    with archive.catalog.held(sid) as now:
        if now.state not in CLOSED or is_over(archive.catalog, uid):
            return False
        archive.storage.quarantine(uid)
    return True


def _is_old(draft: Path) -> bool:
    with suppress(FileNotFoundError):  # another process is faster
        return draft.stat().st_mtime < (datetime.now(UTC) - ORPHAN_AGE).timestamp()
    return False
