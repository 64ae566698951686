"""Catalogue and storage as one: moves that touch a record and files, safe to be killed at any step.

Towards the public the record moves first and the folder follows; away from the public the folder moves inside the
record's transaction. `tidying.reconcile` finishes what a crash interrupted: the record decides, the folder follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from coverslip.archive import indexes
from coverslip.archive.arrivals import Arrivals, FolderArrivals, Writer
from coverslip.archive.catalog import Catalog
from coverslip.archive.clean import BucketSlides, CleanSlides, whole
from coverslip.archive.frames import Opened
from coverslip.archive.keyring import Keyring
from coverslip.archive.originals import Check, Originals
from coverslip.archive.places import places
from coverslip.archive.records import PYRAMID, Claim, Produced, Refused, SetAside, SlideRecord, Upload
from coverslip.archive.revocations import Revocations
from coverslip.archive.schema import opened
from coverslip.archive.states import State
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.store import Stored
from coverslip.archive.terms import Terms
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
        self.keep_originals = keep_originals
        """How long after their slides settled; None for always."""
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
        database = opened(settings.database)
        keyring = Keyring(database)
        wrapping = keyring.key("originals", settings.originals_key_file or storage.secret("originals"))
        vault = Vault(keyring.key("vault", settings.vault_key_file or storage.secret("vault"))) if with_vault else None
        catalog = Catalog(database, vault=vault, terms=terms, revoked=revocations.change)
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
        if moved.state is State.RELEASED:
            self.show(sid)
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

        The findings go just before: a draft does not outlive its attempt, and who lost the claim puts none in the place
        of the newer attempt's. An original stays where it is, encrypted; one from before encryption is moved last, or
        `tidying.reconcile` moves it.
        """
        self.catalog.finish(claim, verdict, follow=lambda: self.storage.keep_report(claim.uid, report))
        with suppress(OriginalPurged):  # by somebody who saw the verdict first: nothing is left to be moved
            if self.catalog.sealed(claim.uid) is None:
                self.storage.quarantine(claim.uid)

    @property
    def arrivals(self) -> Arrivals:
        """Where new uploads arrive."""
        return self._arrivals

    @property
    def arriving(self) -> frozenset[Arrivals]:
        """Everywhere that something may have arrived: uploads that began on this disk end there."""
        return frozenset({self._on_disk, self._arrivals})

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
        leaves the upload as it was or the slide whole; what else it leaves, `tidying` deletes. Raises what `check`
        raises, `LeaseLost`, `StateConflict` or `StorageFailed`.
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
        leaves in between goes when somebody tidies. Raises `NotFound`, `StateConflict` while somebody works on the
        slide, `Outdated` when its version is not the `expected` one, `OriginalPurged` when it was done before.
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

    def terminate_upload(self, uid: str, actor: str) -> None:
        """End an upload, then delete its bytes: while the record is open every byte it promises is there.

        What a crash leaves in between goes when somebody tidies. Raises `NotFound`, `StateConflict`, `StorageFailed`.
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

    def _arriving(self, uid: str) -> Arrivals:
        """Where an upload arrives: one that began on this disk, before there was a bucket, ends here."""
        return self._on_disk if self.storage.incoming(uid).exists() else self._arrivals

    def _forget(self, uid: str) -> None:
        self.storage.forget_original(uid)
        with suppress(StorageAway):  # its key is gone: whoever collects deletes the rest
            for kept in list(self.originals.store.names(f"{uid}.")):
                self.originals.store.remove(kept.name)

    def _hide(self, slide: SlideRecord) -> None:
        if slide.artefact is not None and slide.state is not State.RELEASED:
            self.clean.move_artefact(slide.sid, slide.artefact, source=Zone.RELEASED, target=Zone.REVIEW)

    def show(self, sid: str) -> None:
        """Put a released slide's files where the public reads them; does nothing when they are there.

        The record is held meanwhile: nobody withdraws the slide between the look at it and the move. Raises `NotFound`.
        """
        with self.catalog.held(sid) as slide:
            if slide.artefact is not None and slide.state is State.RELEASED:
                self.clean.move_artefact(sid, slide.artefact, source=Zone.REVIEW, target=Zone.RELEASED)


def _checking(pieces: Iterable[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for piece in pieces:
        check()
        yield piece


def zone_of(state: State) -> Zone:
    """The zone in which a slide's clean files lie."""
    return Zone.RELEASED if state is State.RELEASED else Zone.REVIEW
