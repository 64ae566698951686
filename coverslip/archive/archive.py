"""Catalogue and storage as one: moves that touch a record and files, safe to be killed at any step.

Towards the public the record moves first and the folder follows; away from the public the folder moves inside the
record's transaction. `reconcile` finishes what a crash interrupted: the record decides, the folder follows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coverslip.archive import begun, indexes
from coverslip.archive import kept as kept_drafts
from coverslip.archive.arrivals import Arrivals, FolderArrivals, Writer, is_over
from coverslip.archive.catalog import Catalog
from coverslip.archive.clean import BucketSlides, CleanSlides, whole
from coverslip.archive.database import Database
from coverslip.archive.door import SYSTEM, utc_now
from coverslip.archive.frames import Opened
from coverslip.archive.jobs import Terms
from coverslip.archive.keyring import Keyring
from coverslip.archive.originals import Check, Originals
from coverslip.archive.places import places
from coverslip.archive.records import PYRAMID, Claim, Produced, Refused, SetAside, SlideRecord, Upload
from coverslip.archive.revocations import Revocations
from coverslip.archive.schema import upgrade
from coverslip.archive.states import JobState, State
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.store import Stored
from coverslip.archive.strangers import Stranger, of_known, strangers, upload_of
from coverslip.archive.turns import Priority
from coverslip.archive.vault import Vault
from coverslip.durable import our_errors, sync
from coverslip.errors import (
    CatalogError,
    LeaseLost,
    NotFound,
    OriginalPurged,
    StateConflict,
    StorageAway,
    StorageFailed,
)
from coverslip.settings import Settings

CLOSED = frozenset({State.QUARANTINED, State.REJECTED})
"""States in which an original lies in the closed zone."""
OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})
"""States of a job that will go on where its last attempt stopped."""
ORPHAN_AGE = timedelta(hours=24)
"""What no record points to is deleted after this long: until then somebody may be about to make the record."""
COLLECT_EVERY = timedelta(hours=1)
PURGED_AT_ONCE = 100
"""Originals one round deletes; the next round goes on."""


class Archive:
    """What exists (`catalog`) and where it lies (`storage`)."""

    def __init__(
        self,
        catalog: Catalog,
        storage: Storage,
        originals: Originals,
        *,
        clean: CleanSlides | None = None,
        arrivals: Arrivals | None = None,
        keep_originals: timedelta | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        """Use `open`; `clean` is where clean slides lie, `arrivals` where uploads arrive, by default `storage` too."""
        self.catalog = catalog
        self.storage = storage
        self.originals = originals
        self.clean = storage if clean is None else clean
        self._on_disk = FolderArrivals(catalog, storage, originals)
        self._arrivals = self._on_disk if arrivals is None else arrivals
        self._keep_originals = keep_originals
        self.revocations = revocations or Revocations(storage.revocations)
        """Seen to change by every process when a key is revoked."""

    @classmethod
    def open(cls, settings: Settings, *, with_vault: bool) -> Archive:
        """Make what is missing and connect; only the front end, and workers for slides, need the vault.

        Raises `StorageFailed`, `SettingsInvalid` when a key is not the one the catalogue knows.
        """
        storage = Storage(settings.data_dir)
        place = places(settings, storage)
        revocations = Revocations(storage.revocations)
        terms = Terms(
            lease=settings.lease,
            retry_delay=settings.retry_delay,
            max_attempts=settings.max_attempts,
            complete_pyramids=settings.complete_pyramids,
        )
        database = Database(settings.database)
        upgrade(database)
        keyring = Keyring(database)
        wrapping = keyring.key("originals", settings.originals_key_file or storage.secret("originals"))
        vault = Vault(keyring.key("vault", settings.vault_key_file or storage.secret("vault"))) if with_vault else None
        catalog = Catalog(database, vault=vault, terms=terms, clock=utc_now, revoked=revocations.change)
        originals = Originals(place.originals, wrapping)
        return cls(
            catalog,
            storage,
            originals,
            clean=place.clean,
            arrivals=place.arrivals(catalog, originals, storage),
            keep_originals=settings.keep_originals,
            revocations=revocations,
        )

    def close(self) -> None:
        """Give all connections back."""
        self.catalog.close()

    def transition(self, sid: str, to: State, actor: str, reason: str = "", expected: int | None = None) -> SlideRecord:
        """Move a slide and its files as a person asks; raises `NotFound`, `StateConflict` or `Outdated`."""
        moved = self.catalog.transition(sid, to, actor, reason, expected=expected, follow=self._hide)
        self._show(moved)
        return moved

    def publish(self, claim: Claim, draft: Path, produced: Produced) -> None:
        """Give a draft its final name and record it; raises `LeaseLost` and removes it when somebody took over."""
        self.clean.publish(draft, claim.sid, claim.artefact)
        try:
            self.catalog.finish(claim, produced)
        except LeaseLost:
            self.clean.remove_artefact(claim.sid, claim.artefact)
            raise

    def complete_pyramid(self, claim: Claim, draft: Path) -> None:
        """Put a complete pyramid in the place of the one a slide came to review with, whole or not at all.

        In a bucket, where no file ever changes, it lies beside that one, and the record says which it is. Raises
        `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
        """
        made = draft / PYRAMID
        if isinstance(self.clean, BucketSlides):
            indexes.put_beside(self.catalog, self.clean, claim, made)
            return
        with our_errors():
            sync(made)

        def replace(slide: SlideRecord) -> None:
            folder = self.where_is(slide)
            if folder is None:
                raise StateConflict
            with our_errors():
                made.replace(folder / PYRAMID)
                sync(folder)

        self.catalog.finish_pyramid(claim, follow=replace)

    @contextmanager
    def clean_here(self, claim: Claim, slide: SlideRecord, check: Callable[[], None]) -> Iterator[Path]:
        """A slide's clean file on this machine while the block runs; `check` may stop it by raising.

        Raises `StateConflict` when there is none, `StorageFull` or `StorageFailed`.
        """
        if slide.clean_name is None or slide.artefact is None:
            raise StateConflict
        folder = self.where_is(slide)
        if folder is not None:
            yield folder / slide.clean_name
            return
        stored = self.file(slide, slide.clean_name)
        with self.storage.opened(claim.sid, claim.artefact, _checking(whole(stored, slide.sha256), check)) as path:
            yield path

    def set_aside(self, claim: Claim, verdict: SetAside | Refused, report: Path | None = None) -> None:
        """Record that a slide goes no further; raises `LeaseLost`.

        The findings go first: a draft does not outlive its attempt. An original stays where it is, encrypted; one
        from before encryption is moved last, or `reconcile` moves it.
        """
        self.storage.keep_report(claim.uid, report)
        self.catalog.finish(claim, verdict)
        if self.catalog.sealed(claim.uid) is None:
            self.storage.quarantine(claim.uid)

    @property
    def arrivals(self) -> Arrivals:
        """Where new uploads arrive."""
        return self._arrivals

    def begin_patch(self, uid: str) -> int:
        """Make the caller the only writer of an upload and return its generation.

        Raises `NotFound`, `StateConflict` or `StorageFailed`.
        """
        return self._arriving(uid).begin(uid)

    def writer(self, upload: Upload, generation: int) -> Writer:
        """Go on with an upload at its offset; raises `LeaseLost`, `StateConflict`, `NotFound` or `StorageFailed`."""
        return self._arriving(upload.uid).writer(upload, generation)

    def finish_upload(
        self,
        upload: Upload,
        policy: str,
        collection: str,
        check: Check,
        priority: Priority = Priority.USUAL,
        submission: str = "",
    ) -> str:
        """Encrypt a complete upload, make it a slide with a queued job, delete what else arrived; its slide's id.

        `check` is given the digest of what lies there and may raise. In this order, so that a crash anywhere
        leaves the upload as it was or the slide whole; what else it leaves, `discard_ended` and `discard_originals`
        delete. Raises what `check` raises, `LeaseLost`, `StateConflict` or `StorageFailed`.
        """
        found = ""

        def remembering(digest: str) -> None:
            nonlocal found
            check(digest)
            found = digest

        arriving = self._arriving(upload.uid)
        sealed = arriving.seal(upload, remembering)
        try:
            sid = self.catalog.finish_upload(
                upload.uid, upload.generation, found, policy, collection, priority, sealed, submission
            )
        except CatalogError:
            arriving.discard(sealed)
            raise
        with suppress(StorageFailed):  # the slide exists: whoever tidies deletes what is left
            arriving.drop(upload.uid)
        return sid

    def original(self, uid: str) -> Opened | None:
        """An original to be read in plain text; None for one from before encryption, which `storage.original` finds.

        Raises `OriginalPurged`, `OriginalDamaged` or `NotFound`.
        """
        sealed = self.catalog.sealed(uid)
        return self.originals.open(uid, sealed) if sealed else None

    @contextmanager
    def plain_original(self, claim: Claim, check: Callable[[], None]) -> Iterator[Path]:
        """An original's plain text as a file that is gone when the block ends; `check` may stop it by raising.

        Raises `OriginalPurged`, `OriginalDamaged`, `NotFound`, `StorageFull` or `StorageFailed`.
        """
        opened = self.original(claim.uid)
        if opened is None:
            yield self.storage.original(claim.uid)
            return
        with self.storage.opened(claim.sid, claim.artefact, _checking(opened.pieces(), check)) as path:
            yield path

    def purge(self, sid: str, actor: str, reason: str = "", expected: int | None = None) -> None:
        """Destroy the key of a slide's original, then the original: key first, so that no crash leaves it readable.

        The clean slide stays, unless the slide was rejected or withdrawn: then nobody is shown it again. What a crash
        leaves in between is deleted by `discard_originals` and `discard_orphans`. Raises `NotFound`, `StateConflict`
        while somebody works on the slide, `Outdated` when its version is not the `expected` one, `OriginalPurged` when
        it was done before.
        """
        try:
            uid, artefact = self.catalog.purge(sid, actor, reason, expected)
        except OriginalPurged:
            self._forget(self.catalog.slide(sid).uid)
            raise
        self._forget(uid)
        if artefact is not None:
            with suppress(StorageAway):  # nothing points to it: whoever tidies deletes the rest
                self.clean.remove_artefact(sid, artefact)

    def purge_overdue(self, now: datetime) -> int:
        """Purge originals whose retention ran out, if it ever does; returns how many."""
        if self._keep_originals is None:
            return 0
        purged = 0
        for sid in self.catalog.overdue_originals(now - self._keep_originals, PURGED_AT_ONCE):
            with suppress(StateConflict, OriginalPurged):  # somebody was faster
                self.purge(sid, SYSTEM, "its retention ran out")
                purged += 1
        return purged

    def discard_originals(self, before: datetime) -> int:
        """Delete encrypted originals nobody can open: purged ones at once, others that came before that moment.

        Those in between may be about to get their record. What belongs to no upload there ever was stays.
        """
        under_way = self.catalog.arrivals.known()
        known = self.catalog.original_names() | under_way.files
        dead = [each for each in self.originals.store.names() if each.name not in known]
        old = [each.name for each in dead if each.since < before or self.catalog.is_purged(upload_of(each.name))]
        gone = of_known(self.catalog, old)
        for name in gone:
            self.originals.store.remove(name)

        def spared(name: str, token: str) -> bool:
            return token in under_way.tokens or (bool(name) and not of_known(self.catalog, [name]))

        return len(gone) + self.originals.store.abandon(before, spared)

    def terminate_upload(self, uid: str, actor: str) -> None:
        """End an upload, then delete its bytes: while the record is open every byte it promises is there.

        What a crash leaves in between is deleted by `discard_ended`. Raises `NotFound`, `StateConflict` or
        `StorageFailed`.
        """
        arriving = self._arriving(uid)
        self.catalog.terminate_upload(uid, actor)
        with suppress(StorageAway):  # its key is gone: whoever tidies deletes the rest
            arriving.drop(uid)

    def where_is(self, slide: SlideRecord) -> Path | None:
        """The folder with a slide's clean files; None while there is none, and when they lie in a bucket."""
        if slide.artefact is None or self.clean is not self.storage:
            return None
        return self.storage.artefact(zone_of(slide.state), slide.sid, slide.artefact)

    def file(self, slide: SlideRecord, name: str) -> Stored:
        """One of a slide's clean files, wherever it lies; raises `NotFound` or `StorageFailed`."""
        if slide.artefact is None:
            raise NotFound
        return self.clean.file(zone_of(slide.state), slide.sid, slide.artefact, name)

    def collect(self, now: datetime) -> int:
        """Delete what no record points to; in a bucket, where looking costs, once an hour by one process."""
        if not self.clean.quick_to_list and not self.catalog.take_duty("collect", secrets.token_hex(8), COLLECT_EVERY):
            return 0
        before = now - ORPHAN_AGE
        count = self.discard_orphans() + self.discard_originals(before) + self.clean.abandon(before)
        count += self.discard_indexes(before)
        return count + self._arrivals.collect(before)

    def reconcile(self) -> int:
        """Finish moves that a crash interrupted between record and files; returns how many there were.

        For releases looking at the review zone is enough: a folder leaves the released zone before its record says so.
        """
        closed = sum(self._finish_closing(uid) for uid in self.storage.incoming_uploads())
        lying = self.clean.slides_in(Zone.REVIEW)
        known = self.catalog.standing(lying)
        released = [sid for sid in lying if sid in known and known[sid].state is State.RELEASED]
        for sid in released:
            with self.catalog.held(sid) as slide:
                self._show(slide)
        return closed + len(released)

    def expire_uploads(self, now: datetime) -> int:
        """End uploads whose time is over and delete what arrived of them; returns how many."""
        overdue = self.catalog.expired_uploads(now)
        for upload in overdue:
            with suppress(StateConflict):  # it was finished or ended a moment ago
                self.terminate_upload(upload.uid, SYSTEM)
        return len(overdue)

    def discard_ended(self) -> int:
        """Delete what arrived of uploads that ended or lie encrypted by now; returns how many."""
        ended = [(at, uid) for at in {self._on_disk, self._arrivals} for uid in at.ended()]
        for arriving, uid in ended:
            arriving.drop(uid)
        return len(ended)

    def discard_drafts(self) -> int:
        """Delete drafts that nobody works on any more and no retry can use; returns how many.

        Those of a slide the catalogue never heard of go a day later: they can be made again, and hold plain text.
        """
        drafts = self.storage.drafts()
        known = self.catalog.standing({sid for sid, _, _ in drafts})
        dead = [path for sid, artefact, path in drafts if sid in known and not self._is_wanted(sid, artefact)]
        dead += [path for sid, _, path in drafts if sid not in known and _is_old(path)]
        for path in dead:
            self.storage.discard(path)
        return len(dead)

    def discard_orphans(self) -> int:
        """Delete what was published of a slide whose record points to something else; returns how much that was.

        A crash between name and record leaves it.
        """
        lying = self.clean.artefacts_in(Zone.REVIEW)
        known = self.catalog.standing({sid for sid, _ in lying})
        doubtful = ((sid, name) for sid, name in lying if sid in known and known[sid].artefact != name)
        return sum(self._discard_orphan(sid, name) for sid, name in doubtful)

    def discard_indexes(self, before: datetime) -> int:
        """Delete indexes in a bucket that no slide has had a use for since that moment; returns how many."""
        return indexes.discard(self.catalog, self.clean, before) if isinstance(self.clean, BucketSlides) else 0

    def strangers(self) -> tuple[Stranger, ...]:
        """What lies here and the catalogue never heard of; see the module. Raises `StorageFailed`."""
        arriving = {id(at): at for at in (self._on_disk, self._arrivals)}.values()
        return tuple(strangers(self.catalog, arriving, self.originals.store, self.clean))

    def _is_wanted(self, sid: str, draft: str) -> bool:
        artefact, _, suffix = draft.partition(".")
        match f".{suffix}":
            case kept_drafts.SUFFIX if self.catalog.kept_draft(sid) == artefact:
                return True
            case begun.SUFFIX if any(job.state in OPEN for job in self.catalog.jobs(sid)):
                return True
        return self.catalog.is_running(sid, artefact)

    def _arriving(self, uid: str) -> Arrivals:
        """Where an upload arrives: one that began on this disk, before there was a bucket, ends here."""
        return self._on_disk if self.storage.incoming(uid).exists() else self._arrivals

    def _forget(self, uid: str) -> None:
        self.storage.forget_original(uid)
        with suppress(StorageAway):  # its key is gone: whoever collects deletes the rest
            for kept in list(self.originals.store.names(f"{uid}.")):
                self.originals.store.remove(kept.name)

    def _discard_orphan(self, sid: str, artefact: str) -> bool:
        # In this order: an attempt that ends in between has its pointer by the time we look.
        if self.catalog.is_running(sid, artefact) or self.catalog.slide(sid).artefact == artefact:
            return False
        self.clean.remove_artefact(sid, artefact)
        return True

    def _finish_closing(self, uid: str) -> bool:
        try:
            sid = self.catalog.upload(uid).sid
        except NotFound:
            return False
        if sid is None:
            return False
        with self.catalog.held(sid) as now:
            if now.state not in CLOSED or is_over(self.catalog, uid):
                return False
            self.storage.quarantine(uid)
        return True

    def _hide(self, slide: SlideRecord) -> None:
        if slide.artefact is not None and slide.state is not State.RELEASED:
            self.clean.move_artefact(slide.sid, slide.artefact, source=Zone.RELEASED, target=Zone.REVIEW)

    def _show(self, slide: SlideRecord) -> None:
        if slide.artefact is not None and slide.state is State.RELEASED:
            self.clean.move_artefact(slide.sid, slide.artefact, source=Zone.REVIEW, target=Zone.RELEASED)


def _checking(pieces: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for piece in pieces:
        check()
        yield piece


def _is_old(draft: Path) -> bool:
    with suppress(FileNotFoundError):  # another process is faster
        return draft.stat().st_mtime < (datetime.now(UTC) - ORPHAN_AGE).timestamp()
    return False


def zone_of(state: State) -> Zone:
    """The zone in which a slide's clean files lie."""
    return Zone.RELEASED if state is State.RELEASED else Zone.REVIEW
