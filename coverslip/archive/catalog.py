"""The catalogue's one door: each method is one transaction, and what it returns is frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from coverslip.archive import events, keys, slides
from coverslip.archive.arrival_records import ArrivalRecords
from coverslip.archive.database import Database
from coverslip.archive.door import Clock, utc_now
from coverslip.archive.events import SYSTEM
from coverslip.archive.records import ApiKey, Event, Page, Principal, SlideRecord, Standing
from coverslip.archive.states import AT_WORK, BY_PEOPLE, State
from coverslip.archive.terms import Terms
from coverslip.archive.upload_records import UploadRecords
from coverslip.archive.vault import Vault
from coverslip.archive.work_records import WorkRecords
from coverslip.errors import StateConflict


class Catalog(UploadRecords, WorkRecords):
    """What exists, in which state, and who may work on it; safe to share between threads, not across a fork."""

    def __init__(
        self,
        database: Database,
        *,
        vault: Vault | None = None,
        terms: Terms | None = None,
        clock: Clock = utc_now,
        revoked: Callable[[], None] = lambda: None,
    ) -> None:
        """Use a database whose tables are up to date (`schema.opened`).

        Without a `vault` (as in a sweeper) uploads cannot be announced and nothing sealed can be read. `revoked` is
        called when a key's end is written down.
        """
        super().__init__(database, vault=vault, terms=terms or Terms(), clock=clock, revoked=revoked)
        self.arrivals = ArrivalRecords(database)
        """Uploads that arrive in a bucket."""

    def close(self) -> None:
        """Give all connections back."""
        self._db.close()

    def ping(self) -> None:
        """Ask the database for an answer; raises `StorageFailed`."""
        with self._db.read() as session:
            slides.counts(session)

    # slides

    def slide(self, sid: str) -> SlideRecord:
        """One slide; raises `NotFound`."""
        with self._db.read() as session:
            return slides.get(session, sid)

    def standing(self, sids: Collection[str]) -> dict[str, Standing]:
        """State and artefact of each of these slides that there is."""
        with self._db.read() as session:
            return slides.standing(session, sids)

    def slides(
        self, states: Collection[State] | None = None, cursor: str | None = None, limit: int = 50, words: str = ""
    ) -> Page:
        """Slides newest first, at most 500 a page, that every one of `words` fits."""
        with self._db.read() as session:
            return slides.page(session, states, cursor, limit, words)

    def counts(self) -> dict[State, int]:
        """How many slides are in each state."""
        with self._db.read() as session:
            return slides.counts(session)

    def transition(
        self,
        sid: str,
        to: State,
        actor: str,
        reason: str = "",
        *,
        expected: int | None = None,
        follow: Callable[[SlideRecord], None] | None = None,
    ) -> SlideRecord:
        """Move a slide as a person asks; raises `NotFound`, or `StateConflict` also for moves that are not people's.

        With the version the person saw as `expected`, raises `Outdated` when somebody moved it since.
        Moves the record only: `Archive.transition` moves the files as well, by `follow` before the record is committed.
        """
        with self._db.write(moves_files=follow is not None) as session:
            row = slides.locked(session, sid, expected)
            if to not in BY_PEOPLE:
                raise StateConflict("Only the queue makes that move.")
            if State(row.state) in AT_WORK:
                raise StateConflict("Work on the slide is not over: cancel it first.")
            slides.move(session, self._now(), row, to, actor=actor, reason=reason)
            moved = slides.record(row)
            if follow is not None:
                follow(moved)
        return moved

    @contextmanager
    def held(self, sid: str) -> Iterator[SlideRecord]:
        """One slide that nobody else can move while the block runs; raises `NotFound`."""
        with self._db.write(moves_files=True) as session:
            yield slides.record(slides.locked(session, sid))

    def note(self, sid: str, actor: str, action: str) -> None:
        """Put an act that changes no state into a slide's audit trail."""
        with self._db.write() as session:
            events.append(session, self._now(), actor=actor, action=action, sid=sid)

    def events(self, sid: str) -> tuple[Event, ...]:
        """The audit trail of one slide, oldest first."""
        with self._db.read() as session:
            return events.of_slide(session, sid)

    # keys

    def create_key(self, label: str, roles: Collection[str], owner: str, actor: str = SYSTEM) -> tuple[str, str]:
        """Make an API key; returns its id and the secret that is shown this once."""
        with self._db.write() as session:
            return keys.create(session, self._now(), label=label, roles=roles, owner=owner, actor=actor)

    def principal(self, untrusted_secret: str) -> Principal | None:
        """Who holds this secret; None when nobody does."""
        with self._db.read() as session:
            return keys.principal(session, untrusted_secret)

    def revoke_key(self, key_id: str, actor: str = SYSTEM) -> None:
        """End a key, effective on the next request; raises `NotFound`."""
        with self._db.write() as session:
            keys.revoke(session, self._now(), key_id, actor=actor)
        self._revoked()

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first, revoked ones too."""
        with self._db.read() as session:
            return keys.every(session)
