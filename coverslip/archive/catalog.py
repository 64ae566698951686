"""The catalogue's one door: each method is one transaction, and what it returns is frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from coverslip.archive import duty, events, jobs, keeping, keys, pauses, queueing, slides, turns, uploads
from coverslip.archive.arrival_records import ArrivalRecords
from coverslip.archive.database import Database
from coverslip.archive.jobs import Terms
from coverslip.archive.kinds import JobKind
from coverslip.archive.originals import Sealed
from coverslip.archive.pauses import Scope
from coverslip.archive.records import (
    ApiKey,
    Claim,
    DeadLetter,
    Event,
    Job,
    Load,
    Page,
    Pause,
    Principal,
    Produced,
    QueueStats,
    SlideRecord,
    Upload,
    Verdict,
)
from coverslip.archive.schema import upgrade
from coverslip.archive.states import BY_PEOPLE, State
from coverslip.archive.turns import Priority
from coverslip.archive.vault import Untrusted, Vault
from coverslip.errors import NotPermitted, StateConflict

Clock = Callable[[], datetime]
"""Moments in UTC. A clock wrong by more than the lease delays work or repeats it; the token keeps it safe."""

SYSTEM = jobs.SYSTEM


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Catalog:
    """What exists, in which state, and who may work on it; safe to share between threads, not across a fork."""

    def __init__(
        self, database: Database, *, vault: Vault | None, terms: Terms, clock: Clock, revoked: Callable[[], None]
    ) -> None:
        """Use `open`."""
        self._db = database
        self.arrivals = ArrivalRecords(database)
        """Uploads that arrive in a bucket."""
        self._vault = vault
        self._terms = terms
        self._now = clock
        self._revoked = revoked

    @classmethod
    def open(
        cls,
        url: str,
        *,
        vault: Vault | None = None,
        terms: Terms | None = None,
        clock: Clock = utc_now,
        revoked: Callable[[], None] = lambda: None,
    ) -> Catalog:
        """Connect, bring the tables up to date and return the catalogue; raises `StorageFailed`.

        Without a `vault` (as in a sweeper) uploads cannot be announced and nothing sealed can be read. `revoked` is
        called when a key's end is written down.
        """
        database = Database(url)
        upgrade(database)
        return cls(database, vault=vault, terms=terms or Terms(), clock=clock, revoked=revoked)

    def close(self) -> None:
        """Give all connections back."""
        self._db.close()

    def ping(self) -> None:
        """Ask the database for an answer; raises `StorageFailed`."""
        with self._db.read() as session:
            slides.counts(session)

    # uploads

    def create_upload(
        self,
        owner: str,
        length: int,
        expires_at: datetime,
        untrusted_filename: str,
        metadata: Mapping[str, str] | None = None,
        *,
        admit: Callable[[Load], None] = lambda _: None,
    ) -> Upload:
        """Announce a file; its name and metadata go into the vault and nowhere else.

        `admit` is shown what uploads hold, in the transaction that adds this one, and refuses it by raising.
        """
        with self._db.write() as session:
            admit(uploads.load(session, self._now(), owner))
            return uploads.create(
                session,
                self._now(),
                self._sealed(),
                owner=owner,
                length=length,
                expires=expires_at,
                untrusted_filename=untrusted_filename,
                metadata=metadata or {},
            )

    def load(self, owner: str) -> Load:
        """What uploads hold now, one owner's and everybody's."""
        with self._db.read() as session:
            return uploads.load(session, self._now(), owner)

    def upload(self, uid: str) -> Upload:
        """One upload; raises `NotFound`."""
        with self._db.read() as session:
            return uploads.get(session, uid)

    def begin_patch(self, uid: str, *, follow: Callable[[str], None] | None = None) -> int:
        """Make the caller the only writer and return its generation; raises `NotFound` or `StateConflict`.

        `follow` runs before the record is committed: nobody ends the upload meanwhile.
        """
        with self._db.write() as session:
            generation = uploads.begin_patch(session, self._now(), uid)
            if follow is not None:
                follow(uid)
        return generation

    def advance(self, uid: str, generation: int, offset: int) -> None:
        """Promise that everything before `offset` is kept; raises `LeaseLost` when a newer request writes."""
        with self._db.write() as session:
            uploads.advance(session, uid, generation, offset)

    def finish_upload(
        self,
        uid: str,
        generation: int,
        sha256: str,
        policy: str,
        collection: str = "default",
        priority: Priority = Priority.USUAL,
        original: Sealed | None = None,
        submission: str = "",
    ) -> str:
        """Turn a complete upload into a slide with a queued job, both or neither; returns the slide's id.

        Records only: `Archive.finish_upload` encrypts the bytes first and says by `original` where they lie.
        """
        with self._db.write() as session:
            return uploads.finish(
                session,
                self._now(),
                self._sealed(),
                uid,
                generation,
                sha256=sha256,
                policy=policy,
                collection=collection,
                priority=priority,
                original=original,
                submission=submission,
            )

    def terminate_upload(self, uid: str, actor: str = SYSTEM) -> None:
        """End an upload and forget what was said about it; raises `NotFound` or `StateConflict`.

        Ends the record only: `Archive.terminate_upload` deletes the bytes afterwards.
        """
        with self._db.write() as session:
            uploads.terminate(session, self._now(), uid, actor=actor)

    def expired_uploads(self, now: datetime) -> tuple[Upload, ...]:
        """Open uploads whose time is over."""
        with self._db.read() as session:
            return uploads.expired(session, now)

    def open_uploads(self, owner: str) -> tuple[Upload, ...]:
        """What `owner` has under way, oldest first."""
        with self._db.read() as session:
            return uploads.open_of(session, owner)

    def unseal(self, uid: str, actor: str, sid: str | None = None) -> Untrusted:
        """What the client said about an upload; the reading itself is recorded, or does not happen."""
        with self._db.write() as session:
            return uploads.unseal(session, self._now(), self._sealed(), uid, actor=actor, sid=sid)

    # originals

    def sealed(self, uid: str) -> Sealed | None:
        """Where an original lies encrypted; None for one that came before originals were. Raises `OriginalPurged`."""
        with self._db.read() as session:
            return keeping.sealed(session, uid)

    def is_purged(self, uid: str) -> bool:
        """Whether an original's key was destroyed."""
        with self._db.read() as session:
            return keeping.is_purged(session, uid)

    def original_names(self) -> frozenset[str]:
        """The names of all encrypted originals that somebody can open."""
        with self._db.read() as session:
            return keeping.names(session)

    def overdue_originals(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Slides settled since before that moment whose original is still kept."""
        with self._db.read() as session:
            return keeping.overdue(session, before, limit)

    def purge(self, sid: str, actor: str, reason: str = "") -> str:
        """Destroy the key of a slide's original and what a client said about it; returns the upload's id.

        The key only: `Archive.purge` deletes the bytes. Raises `NotFound`, `StateConflict` or `OriginalPurged`.
        """
        with self._db.write() as session:
            uid = keeping.purge(session, self._now(), sid, actor=actor, reason=reason)
        self._db.forget()
        return uid

    # slides

    def slide(self, sid: str) -> SlideRecord:
        """One slide; raises `NotFound`."""
        with self._db.read() as session:
            return slides.get(session, sid)

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
        with self._db.write() as session:
            row = slides.locked(session, sid, expected)
            if to not in BY_PEOPLE:
                raise StateConflict("Only the queue makes that move.")
            slides.move(session, self._now(), row, to, actor=actor, reason=reason)
            moved = slides.record(row)
            if follow is not None:
                follow(moved)
        return moved

    @contextmanager
    def held(self, sid: str) -> Iterator[SlideRecord]:
        """One slide that nobody else can move while the block runs; raises `NotFound`."""
        with self._db.write() as session:
            yield slides.record(slides.locked(session, sid))

    def note(self, sid: str, actor: str, action: str) -> None:
        """Put an act that changes no state into a slide's audit trail."""
        with self._db.write() as session:
            events.append(session, self._now(), actor=actor, action=action, sid=sid)

    def events(self, sid: str) -> tuple[Event, ...]:
        """The audit trail of one slide, oldest first."""
        with self._db.read() as session:
            return events.of_slide(session, sid)

    # jobs

    def claim_next(self, kinds: Collection[str], worker: str) -> Claim | None:
        """Take the job whose turn it is, or None when nothing of these kinds may begin."""
        with self._db.write() as session:
            claimed = jobs.claim_next(session, self._now(), self._terms, kinds, worker)
            if claimed is not None:
                duty.began(session, self._now(), worker)
            return claimed

    def claim(self, job_id: str, worker: str) -> Claim | None:
        """Take this very job, or None when it is done, held, not due or unknown."""
        with self._db.write() as session:
            return jobs.claim(session, self._now(), self._terms, job_id, worker)

    def heartbeat(self, claim: Claim, stage: str | None = None, done: float = 0.0) -> None:
        """Renew the lease and report progress; raises `LeaseLost` or `Cancelled`."""
        with self._db.write() as session:
            jobs.heartbeat(session, self._now(), self._terms, claim, stage, done)

    def finish(self, claim: Claim, verdict: Verdict) -> None:
        """Record the verdict, the pointer to what was made and the event, all or none; raises `LeaseLost`."""
        with self._db.write() as session:
            jobs.finish(session, self._now(), self._terms, claim, verdict)

    def require_held(self, claim: Claim) -> None:
        """Look, without writing, whether a claim still holds; raises `LeaseLost` or `Cancelled`."""
        with self._db.read() as session:
            jobs.require_held(session, claim)

    def verified(self, claim: Claim, made: Produced) -> None:
        """Remember that this attempt's draft holds a verified clean slide; raises `LeaseLost`."""
        with self._db.write() as session:
            jobs.verified(session, claim, made)

    def finish_pyramid(self, claim: Claim, *, follow: Callable[[SlideRecord], None]) -> None:
        """Record a complete pyramid; `follow` puts it in its place before the record is committed.

        Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
        """
        with self._db.write() as session:
            follow(slides.record(jobs.finish_pyramid(session, self._now(), claim)))

    def fail(self, claim: Claim, code: str, where: str = "") -> None:
        """Record that an attempt ended badly; the job is tried again or settled. Raises `LeaseLost`."""
        with self._db.write() as session:
            jobs.fail(session, self._now(), self._terms, claim, code, where)

    def release(self, claim: Claim) -> None:
        """Give a job back untouched; raises `LeaseLost`."""
        with self._db.write() as session:
            jobs.release(session, self._now(), claim)

    def cancel(self, job_id: str, actor: str = SYSTEM) -> None:
        """Stop a job, at once or at its next heartbeat; raises `NotFound` or `StateConflict`."""
        with self._db.write() as session:
            jobs.cancel(session, self._now(), job_id, actor=actor)

    def cancel_slide(self, sid: str, actor: str = SYSTEM) -> None:
        """Stop whatever waits or runs for a slide; raises `StateConflict` when nothing does."""
        with self._db.write() as session:
            jobs.cancel_slide(session, self._now(), sid, actor=actor)

    def retry(
        self, sid: str, actor: str = SYSTEM, priority: Priority = Priority.FIRST, *, expected: int | None = None
    ) -> None:
        """Queue a failed or quarantined slide again, with fresh attempts.

        Raises `NotFound`, `StateConflict`, `Outdated` when its version is not the `expected` one, or `OriginalPurged`
        when there is nothing left to work on.
        """
        with self._db.write() as session:
            row = slides.locked(session, sid, expected)
            queueing.enqueue(session, self._now(), row, actor=actor, priority=priority)

    def dead_letters(self, code: str | None = None, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Jobs that came to no verdict and nobody queued again, newest first."""
        with self._db.read() as session:
            return queueing.dead_letters(session, code, limit)

    def dead_reasons(self) -> dict[str, int]:
        """How many dead letters there are, by reason."""
        with self._db.read() as session:
            return queueing.dead_reasons(session)

    def replay(self, job_id: str, actor: str = SYSTEM) -> None:
        """Do a dead letter's work again, from its last finished stage; raises `NotFound` or `StateConflict`."""
        with self._db.write() as session:
            queueing.replay(session, self._now(), job_id, actor=actor, priority=Priority.FIRST)

    def replay_all(self, code: str, actor: str = SYSTEM) -> int:
        """Replay the dead letters of one reason, at most 500; returns how many."""
        with self._db.write() as session:
            return queueing.replay_all(session, self._now(), code, actor=actor)

    def prefer(self, job_id: str, priority: Priority, actor: str = SYSTEM) -> None:
        """Give a waiting job another priority; raises `NotFound` or `StateConflict`."""
        with self._db.write() as session:
            jobs.prefer(session, self._now(), job_id, priority, actor=actor)

    def kept_draft(self, sid: str) -> str | None:
        """The attempt whose verified draft the next one may want, by its artefact's name."""
        with self._db.read() as session:
            return jobs.kept_draft(session, sid)

    def job(self, job_id: str) -> Job:
        """One job; raises `NotFound`."""
        with self._db.read() as session:
            return jobs.get(session, job_id)

    def ahead(self, job_id: str) -> int | None:
        """About how many jobs begin before this one; None when it does not wait. Raises `NotFound`."""
        with self._db.read() as session:
            return jobs.ahead(session, self._now(), job_id)

    def jobs(self, sid: str) -> tuple[Job, ...]:
        """All jobs of a slide, oldest first."""
        with self._db.read() as session:
            return jobs.of_slide(session, sid)

    def open_job(self, sid: str) -> str | None:
        """What waits or runs for a slide, if anything does; the newest of several."""
        with self._db.read() as session:
            return jobs.open_of(session, sid)

    def is_running(self, sid: str, artefact: str) -> bool:
        """Whether an attempt of that name holds a claim."""
        with self._db.read() as session:
            return jobs.is_running(session, sid, artefact)

    def bury(self) -> int:
        """Settle jobs whose worker died at every attempt; returns how many."""
        with self._db.write() as session:
            turns.forget(session, self._now())
            return jobs.bury(session, self._now(), self._terms)

    def hints_due(self, kind: JobKind = JobKind.DEIDENTIFY, held: int = 0, limit: int = 100) -> tuple[str, ...]:
        """Jobs to tell the broker about, when it holds `held` hints of this kind; no more than `limit` in all."""
        with self._db.read() as session:
            return jobs.hints_due(session, self._now(), kind, held, limit)

    def pause(self, scope: Scope, name: str = "", actor: str = SYSTEM) -> None:
        """Begin no more of this work; what runs goes on."""
        with self._db.write() as session:
            pauses.pause(session, self._now(), scope, name, actor=actor)

    def resume(self, scope: Scope, name: str = "", actor: str = SYSTEM) -> None:
        """Begin this work again."""
        with self._db.write() as session:
            pauses.resume(session, self._now(), scope, name, actor=actor)

    def pauses(self) -> tuple[Pause, ...]:
        """All pauses, longest first."""
        with self._db.read() as session:
            return pauses.every(session)

    # who is at work

    def queue_stats(self) -> QueueStats:
        """What ops looks at first."""
        with self._db.read() as session:
            return duty.queue_stats(session, self._now())

    def worker_seen(self, name: str) -> None:
        """Note that a worker lives."""
        with self._db.write() as session:
            duty.worker_seen(session, self._now(), name)

    def worker_gone(self, name: str) -> None:
        """Forget a worker that said goodbye."""
        with self._db.write() as session:
            duty.worker_gone(session, name)

    def is_stalled(self, worker: str, room: int, patience: timedelta) -> bool:
        """Whether work has waited for `patience` although this worker runs fewer than `room` jobs: it hangs."""
        with self._db.read() as session:
            return duty.is_stalled(session, self._now(), worker, room, patience)

    def take_duty(self, name: str, holder: str, hold: timedelta) -> bool:
        """Take or keep a duty that one process at a time performs; False while somebody else has it."""
        with self._db.write() as session:
            return duty.take(session, self._now(), name, holder, hold)

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

    def _sealed(self) -> Vault:
        if self._vault is None:
            raise NotPermitted("This process was started without the vault's key.")
        return self._vault
