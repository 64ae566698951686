"""The catalogue's door for work: jobs, whose turn it is, what is paused, and who is there to do it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta

from coverslip.archive import claims, duty, endings, jobs, pauses, queueing, slides, turns
from coverslip.archive.door import Door
from coverslip.archive.events import SYSTEM
from coverslip.archive.kinds import JobKind
from coverslip.archive.pauses import Scope
from coverslip.archive.records import (
    Claim,
    DeadLetter,
    Job,
    Pause,
    Produced,
    QueueStats,
    SlideRecord,
    Verdict,
)
from coverslip.archive.turns import Priority


class WorkRecords(Door):
    """Jobs, pauses and workers; each method is one transaction."""

    def claim_next(self, kinds: Collection[str], worker: str) -> Claim | None:
        """Take the job whose turn it is, or None when nothing of these kinds may begin."""
        with self._db.write() as session:
            claimed = claims.claim_next(session, self._now(), self._terms, kinds, worker)
            if claimed is not None:
                duty.began(session, self._now(), worker)
            return claimed

    def claim(self, job_id: str, worker: str) -> Claim | None:
        """Take this very job, or None when it is done, held, not due or unknown."""
        with self._db.write() as session:
            return claims.claim(session, self._now(), self._terms, job_id, worker)

    def heartbeat(self, claim: Claim, stage: str | None = None, done: float = 0.0) -> None:
        """Renew the lease and report progress; raises `LeaseLost` or `Cancelled`."""
        with self._db.write() as session:
            claims.heartbeat(session, self._now(), self._terms, claim, stage, done)

    def finish(self, claim: Claim, verdict: Verdict, *, follow: Callable[[], None] | None = None) -> None:
        """Record the verdict, the pointer to what was made and the event, all or none; raises `LeaseLost`.

        `follow` runs before the record is committed: nobody takes over meanwhile.
        """
        with self._db.write(moves_files=follow is not None) as session:
            endings.finish(session, self._now(), self._terms, claim, verdict)
            if follow is not None:
                follow()

    def require_held(self, claim: Claim) -> None:
        """Look, without writing, whether a claim still holds; raises `LeaseLost` or `Cancelled`."""
        with self._db.read() as session:
            claims.require_held(session, claim)

    def verified(self, claim: Claim, made: Produced) -> None:
        """Remember that this attempt's draft holds a verified clean slide; raises `LeaseLost`."""
        with self._db.write() as session:
            claims.verified(session, claim, made)

    def finish_pyramid(
        self, claim: Claim, *, follow: Callable[[SlideRecord], None] | None = None, index_name: str | None = None
    ) -> None:
        """Record a complete pyramid; `follow` puts it in its place before the record is committed.

        Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile.
        """
        with self._db.write(moves_files=follow is not None) as session:
            slide = slides.record(endings.finish_pyramid(session, self._now(), claim, index_name))
            if follow is not None:
                follow(slide)

    def fail(self, claim: Claim, code: str, where: str = "") -> None:
        """Record that an attempt ended badly; the job is tried again or settled. Raises `LeaseLost`."""
        with self._db.write() as session:
            endings.fail(session, self._now(), self._terms, claim, code, where)

    def put_off(self, claim: Claim, code: str, where: str = "") -> None:
        """Give back a job that the machine could not do, to be tried later; no attempt. Raises `LeaseLost`."""
        with self._db.write() as session:
            endings.put_off(session, self._now(), self._terms, claim, code, where)

    def release(self, claim: Claim) -> None:
        """Give a job back untouched; raises `LeaseLost`."""
        with self._db.write() as session:
            endings.release(session, self._now(), claim)

    def cancel(self, job_id: str, actor: str = SYSTEM) -> None:
        """Stop a job, at once or at its next heartbeat; raises `NotFound` or `StateConflict`."""
        with self._db.write() as session:
            endings.cancel(session, self._now(), job_id, actor=actor)

    def cancel_slide(self, sid: str, actor: str = SYSTEM) -> None:
        """Stop whatever waits or runs for a slide; raises `StateConflict` when nothing does."""
        with self._db.write() as session:
            endings.cancel_slide(session, self._now(), sid, actor=actor)

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
            return endings.bury(session, self._now(), self._terms)

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
