"""Claims: the job's row is outbox, lease and fencing token; a queue message is only a hint that a row exists."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from coverslip.archive import endings, events, rows, slides, turns
from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, SlideRow
from coverslip.archive.records import Claim, Produced
from coverslip.archive.states import JobState, State
from coverslip.archive.terms import Terms
from coverslip.errors import Cancelled, LeaseLost, StateConflict
from coverslip.versions import version_of

BY = "coverslip"
"""The key under which facts say which version vouches for them."""


def claim_next(session: Session, now: datetime, terms: Terms, kinds: Collection[str], worker: str) -> Claim | None:
    """Take the job whose turn it is, or None when nothing of these kinds may begin."""
    for row in turns.in_order(session, now, kinds):
        if (claimed := _take(session, now, terms, row, worker)) is not None:
            turns.served(session, now, row)
            return claimed
    return None


def claim(session: Session, now: datetime, terms: Terms, job_id: str, worker: str) -> Claim | None:
    """Take this very job, or None: done, held by somebody, not due, or used up."""
    row = rows.held(session, JobRow, job_id)
    return None if row is None or not _is_due(row, now) else _take(session, now, terms, row, worker)


def require_held(session: Session, held: Claim) -> None:
    """Look, without writing, whether a claim still holds; raises `LeaseLost` or `Cancelled`."""
    row = rows.get(session, JobRow, held.job)
    if row is None or row.token != held.token or row.state != JobState.RUNNING:
        raise LeaseLost
    if row.cancel:
        raise Cancelled


def verified(session: Session, held: Claim, made: Produced) -> None:
    """Remember that this attempt's draft holds a verified clean slide, for whoever goes on; raises `LeaseLost`."""
    row = endings.locked(session, held)
    row.verified, row.facts = held.artefact, json.dumps({BY: version_of("coverslip"), **asdict(made)})


def heartbeat(session: Session, now: datetime, terms: Terms, held: Claim, stage: str | None, done: float) -> None:
    """Renew the lease and say how far the work is; raises `LeaseLost` or `Cancelled`."""
    row = endings.locked(session, held)
    if row.cancel:
        raise Cancelled
    row.lease = now + terms.lease
    slide = slides.locked(session, row.sid)
    if stage is not None and row.kind == JobKind.DEIDENTIFY:
        slide.stage, slide.done, slide.updated = stage, min(max(done, 0.0), 1.0), now


def _is_due(row: JobRow, now: datetime) -> bool:
    if row.state == JobState.RUNNING:
        return row.lease is not None and row.lease < now
    return row.state == JobState.QUEUED and row.run_after <= now


def _take(session: Session, now: datetime, terms: Terms, row: JobRow, worker: str) -> Claim | None:
    slide = slides.locked(session, row.sid)
    if endings.is_decided(row, slide):
        endings.end(row, now, JobState.CANCELLED, StateConflict.code)
        return None
    if row.attempts >= terms.max_attempts or row.cancel:
        endings.settle_lapsed(session, now, row)
        return None
    again = row.state == JobState.RUNNING
    row.state, row.worker, row.lease = JobState.RUNNING, worker, now + terms.lease
    row.token += 1
    row.attempts += 1  # counted before the work, so that a crash counts too
    if again:
        events.append(session, now, actor=worker, action="taken-over", sid=row.sid)
    else:
        endings.move(session, now, row, State.PROCESSING, actor=worker)
    return _claimed(row, slide)


def _claimed(row: JobRow, slide: SlideRow) -> Claim:
    return Claim(
        job=row.id,
        kind=row.kind,
        sid=row.sid,
        uid=slide.uid,
        policy=slide.policy,
        collection=slide.collection,
        worker=row.worker or "",
        token=row.token,
        attempt=row.attempts,
        verified=row.verified,
        facts=_facts(row),
        target=slide.artefact if row.kind == JobKind.PYRAMID else None,
    )


def _facts(row: JobRow) -> Produced | None:
    """What an earlier attempt's draft holds; None also when another version said so.

    Then the slide is cleaned and verified anew: an upgrade may be there because the verifier missed something.
    """
    try:
        said = dict(json.loads(row.facts or "{}"))
        return Produced(**said) if said.pop(BY, None) == version_of("coverslip") else None
    except (TypeError, ValueError):
        return None
