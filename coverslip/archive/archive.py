"""Catalogue and storage as one: moves that touch a record and files, safe to be killed at any step.

Towards the public the record moves first and the folder follows; away from the public the folder moves inside the
record's transaction. `reconcile` finishes what a crash interrupted: the record decides, the folder follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from coverslip.archive.catalog import SYSTEM, Catalog
from coverslip.archive.jobs import Terms
from coverslip.archive.records import Claim, Produced, Refused, SetAside, SlideRecord
from coverslip.archive.states import State
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.uploads import TERMINATED
from coverslip.archive.vault import Vault, load_or_create_key
from coverslip.durable import our_errors, sync
from coverslip.errors import LeaseLost, NotFound, StateConflict
from coverslip.settings import Settings

PYRAMID = "slide.pyramid"
CLOSED = frozenset({State.QUARANTINED, State.REJECTED})
"""States in which an original lies in the closed zone."""


class Archive:
    """What exists (`catalog`) and where it lies (`storage`)."""

    def __init__(self, catalog: Catalog, storage: Storage) -> None:
        """Use `open`."""
        self.catalog = catalog
        self.storage = storage

    @classmethod
    def open(cls, settings: Settings, *, with_vault: bool) -> Archive:
        """Make what is missing and connect; only the front end needs the vault. Raises `StorageFailed`."""
        storage = Storage(settings.data_dir)
        vault = None
        if with_vault:
            vault = Vault(load_or_create_key(settings.vault_key_file or storage.secret("vault")))
        terms = Terms(
            lease=settings.lease,
            retry_delay=settings.retry_delay,
            max_attempts=settings.max_attempts,
            complete_pyramids=settings.complete_pyramids,
        )
        return cls(Catalog.open(settings.database, vault=vault, terms=terms), storage)

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
        self.storage.publish(draft, claim.sid, claim.artefact)
        try:
            self.catalog.finish(claim, produced)
        except LeaseLost:
            self.storage.remove_artefact(claim.sid, claim.artefact)
            raise

    def complete_pyramid(self, claim: Claim, draft: Path) -> None:
        """Put a complete pyramid in the place of the one a slide came to review with, whole or not at all.

        Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
        """
        made = draft / PYRAMID
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

    def set_aside(self, claim: Claim, verdict: SetAside | Refused, report: Path | None = None) -> None:
        """Record that a slide goes no further and close its original away; raises `LeaseLost`.

        The findings go first: a draft does not outlive its attempt. The original goes last, or `reconcile` moves it.
        """
        self.storage.keep_report(claim.uid, report)
        self.catalog.finish(claim, verdict)
        self.storage.quarantine(claim.uid)

    def begin_patch(self, uid: str) -> int:
        """Make the caller the only writer of an upload whose file is there; returns its generation.

        The file is made inside the record's transaction and nowhere else: a writer that comes after the end of the
        upload finds no file, and makes none. Raises `NotFound`, `StateConflict` or `StorageFailed`.
        """
        return self.catalog.begin_patch(uid, follow=self.storage.make_incoming)

    def terminate_upload(self, uid: str, actor: str) -> None:
        """End an upload, then delete its bytes: while the record is open every byte it promises is there.

        What a crash leaves in between is deleted by `discard_ended`. Raises `NotFound`, `StateConflict` or
        `StorageFailed`.
        """
        self.catalog.terminate_upload(uid, actor)
        self.storage.drop_incoming(uid)

    def where_is(self, slide: SlideRecord) -> Path | None:
        """The folder with a slide's clean files; None while there is none."""
        if slide.artefact is None:
            return None
        return self.storage.artefact(zone_of(slide.state), slide.sid, slide.artefact)

    def reconcile(self) -> int:
        """Finish moves that a crash interrupted between record and files; returns how many there were.

        For releases looking at the review zone is enough: a folder leaves the released zone before its record says so.
        """
        closed = sum(self._finish_closing(slide) for slide in self._closed())
        return closed + sum(self._finish_release(sid) for sid in self.storage.slides_in(Zone.REVIEW))

    def expire_uploads(self, now: datetime) -> int:
        """End uploads whose time is over and delete what arrived of them; returns how many."""
        overdue = self.catalog.expired_uploads(now)
        for upload in overdue:
            with suppress(StateConflict):  # it was finished or ended a moment ago
                self.terminate_upload(upload.uid, SYSTEM)
        return len(overdue)

    def discard_ended(self) -> int:
        """Delete what arrived of uploads that ended or that nobody knows; returns how many.

        Safe beside writers: a file is made only while its record is open (`begin_patch`), and no record opens again.
        """
        dead = [uid for uid in self.storage.incoming_uploads() if self._is_ended(uid)]
        for uid in dead:
            self.storage.drop_incoming(uid)
        return len(dead)

    def discard_drafts(self) -> int:
        """Delete drafts that nobody works on any more and no retry can use; returns how many."""
        dead = [path for sid, artefact, path in self.storage.drafts() if not self._is_wanted(sid, artefact)]
        for path in dead:
            self.storage.discard(path)
        return len(dead)

    def discard_orphans(self) -> int:
        """Delete published folders no record points to, as a crash between name and record leaves; returns how many."""
        return sum(self._discard_orphan(sid, name) for sid, name in self.storage.artefacts_in(Zone.REVIEW))

    def _is_wanted(self, sid: str, draft: str) -> bool:
        artefact, _, suffix = draft.partition(".")
        return self.catalog.is_running(sid, artefact) or bool(suffix and self.catalog.kept_draft(sid) == artefact)

    def _is_ended(self, uid: str) -> bool:
        try:
            return self.catalog.upload(uid).state == TERMINATED
        except NotFound:
            return True

    def _discard_orphan(self, sid: str, artefact: str) -> bool:
        # In this order: an attempt that ends in between has its pointer by the time we look.
        try:
            if self.catalog.is_running(sid, artefact) or self.catalog.slide(sid).artefact == artefact:
                return False
        except NotFound:
            pass
        self.storage.remove_artefact(sid, artefact)
        return True

    def _closed(self) -> Iterator[SlideRecord]:
        """Every slide whose original is locked away, by its record."""
        cursor: str | None = None
        while True:
            page = self.catalog.slides(CLOSED, cursor, limit=500)
            yield from page.slides
            if (cursor := page.cursor) is None:
                return

    def _finish_closing(self, slide: SlideRecord) -> bool:
        if not self.storage.incoming(slide.uid).exists():
            return False
        with self.catalog.held(slide.sid) as now:
            if now.state not in CLOSED:
                return False
            self.storage.quarantine(now.uid)
        return True

    def _finish_release(self, sid: str) -> bool:
        try:
            if self.catalog.slide(sid).state is not State.RELEASED:
                return False
            with self.catalog.held(sid) as slide:
                self._show(slide)
        except NotFound:  # a folder without a record: left for whoever cleans up
            return False
        return True

    def _hide(self, slide: SlideRecord) -> None:
        if slide.artefact is not None and slide.state is not State.RELEASED:
            self.storage.move_artefact(slide.sid, slide.artefact, source=Zone.RELEASED, target=Zone.REVIEW)

    def _show(self, slide: SlideRecord) -> None:
        if slide.artefact is not None and slide.state is State.RELEASED:
            self.storage.move_artefact(slide.sid, slide.artefact, source=Zone.REVIEW, target=Zone.RELEASED)


def zone_of(state: State) -> Zone:
    """The zone in which a slide's clean files lie."""
    return Zone.RELEASED if state is State.RELEASED else Zone.REVIEW
