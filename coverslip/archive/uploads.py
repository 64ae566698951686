"""Uploads: the catalogue is the authority for owner, offset and which request may write."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import islice

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from coverslip.archive import events, keeping, pieces, queueing, rows, slides
from coverslip.archive.models import SlideRow, UploadRow, VaultRow
from coverslip.archive.originals import Sealed
from coverslip.archive.records import Load, Upload
from coverslip.archive.states import State
from coverslip.archive.turns import Priority
from coverslip.archive.vault import Untrusted, Vault
from coverslip.errors import LeaseLost, NotFound, StateConflict

OPEN, FINISHED, TERMINATED = "open", "finished", "terminated"
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""No pairs that look alike when somebody reads an id aloud."""
_MINE = UploadRow.owner == bindparam("owner")
_UNENDED = select(
    func.count().filter(_MINE), func.sum(UploadRow.length).filter(_MINE),
    func.sum(UploadRow.length), func.sum(UploadRow.offset),
).where(UploadRow.state == OPEN, UploadRow.expires > bindparam("now"))  # fmt: skip


def create(
    session: Session,
    now: datetime,
    vault: Vault,
    *,
    owner: str,
    length: int,
    expires: datetime,
    untrusted_filename: str,
    metadata: Mapping[str, str],
) -> Upload:
    """Announce a file of `length` bytes; its name and metadata go into the vault and nowhere else."""
    uid = secrets.token_hex(16)
    row = UploadRow(
        uid=uid, owner=owner, length=length, offset=0, generation=0, state=OPEN, created=now, expires=expires
    )
    session.add(row)
    session.flush()
    session.add(VaultRow(uid=uid, sealed=vault.seal(uid, Untrusted(untrusted_filename, metadata))))
    return record(row)


def get(session: Session, uid: str) -> Upload:
    """One upload; raises `NotFound`."""
    row = rows.get(session, UploadRow, uid)
    if row is None:
        raise NotFound
    return record(row)


def heard_of(session: Session, uids: Collection[str]) -> frozenset[str]:
    """Those of them that are uploads, whatever became of them: their records are never deleted."""
    asked = iter(uids)
    found: set[str] = set()
    while batch := list(islice(asked, slides.AT_ONCE)):
        found.update(session.scalars(select(UploadRow.uid).where(UploadRow.uid.in_(batch))))
    return frozenset(found)


def begin_patch(session: Session, now: datetime, uid: str) -> int:
    """Make the caller the only one who may write and return its generation; the newest request wins.

    Raises `NotFound` (also once expired) and `StateConflict` when the upload is over.
    """
    row = _open(session, uid)
    if row.expires <= now:
        raise NotFound
    row.generation += 1
    return row.generation


def advance(session: Session, uid: str, generation: int, offset: int) -> None:
    """Promise the client that everything before `offset` is kept.

    Raises `LeaseLost` when a newer request writes, `StateConflict` when the offset would decrease or pass the end.
    """
    row = held(session, uid, generation)
    if not row.offset <= offset <= row.length:
        raise StateConflict("An offset never decreases and never passes the announced length.")
    row.offset = offset


def finish(
    session: Session,
    now: datetime,
    vault: Vault,
    uid: str,
    generation: int,
    *,
    sha256: str,
    policy: str,
    collection: str,
    priority: Priority = Priority.USUAL,
    original: Sealed | None = None,
    submission: str = "",
) -> str:
    """Turn a complete upload into a slide and its job, and return the slide's id: both exist or neither does.

    `original`: where its bytes lie encrypted from now on; `submission`: what it came together with.
    Raises `LeaseLost` and, while bytes are missing, `StateConflict`.
    """
    row = held(session, uid, generation)
    if row.offset != row.length:
        raise StateConflict("The upload is not complete.")
    sid = "".join(secrets.choice(LETTERS) for _ in range(16))
    row.state, row.sid = FINISHED, sid
    if original is not None:
        keeping.keep(session, uid, original)
    pieces.forget(session, uid)
    _seal_digest(session, vault, uid, sha256)
    slide = SlideRow(
        sid=sid,
        uid=uid,
        owner=row.owner,
        submission=submission and _digest(submission),
        collection=collection,
        policy=policy,
        state=State.RECEIVED,
        version=1,
        created=now,
        updated=now,
    )
    session.add(slide)
    session.flush()
    events.append(session, now, actor=row.owner, action="received", sid=sid, after=State.RECEIVED)
    queueing.enqueue(session, now, slide, actor=row.owner, priority=priority)
    keeping.weigh(session, row.owner, row.length)
    return sid


def terminate(session: Session, now: datetime, uid: str, *, actor: str) -> None:
    """End an upload, forget what was said about it and destroy its key, if it has one.

    Raises `StateConflict` when it already became a slide.
    """
    row = _open(session, uid)
    row.state = TERMINATED
    row.generation += 1
    pieces.shred(session, uid)
    sealed = rows.get(session, VaultRow, uid)
    if sealed is not None:
        session.delete(sealed)
    events.append(session, now, actor=actor, action="upload-terminated")


def load(session: Session, now: datetime, owner: str) -> Load:
    """What uploads hold now, one owner's and everybody's; what has expired holds nothing."""
    count, *sums = session.execute(_UNENDED, {"owner": owner, "now": now}).one()
    coming, announced, arrived = (int(found or 0) for found in sums)
    return Load(count, keeping.weight(session, owner) + coming, announced, arrived)


def expired(session: Session, now: datetime) -> tuple[Upload, ...]:
    """Open uploads whose time is over."""
    rows = session.scalars(select(UploadRow).where(UploadRow.state == OPEN, UploadRow.expires <= now))
    return tuple(record(row) for row in rows)


def open_of(session: Session, owner: str) -> tuple[Upload, ...]:
    """What `owner` has under way, oldest first."""
    query = select(UploadRow).where(UploadRow.owner == owner, UploadRow.state == OPEN).order_by(UploadRow.created)
    return tuple(record(row) for row in session.scalars(query))


def unseal(session: Session, now: datetime, vault: Vault, uid: str, *, actor: str, sid: str | None) -> Untrusted:
    """Open a vault row and record who did; raises `NotFound`."""
    row = rows.get(session, VaultRow, uid)
    if row is None:
        raise NotFound
    events.append(session, now, actor=actor, action="vault-opened", sid=sid)
    return vault.open(uid, row.sealed)


def record(row: UploadRow) -> Upload:
    """The row as frozen facts."""
    return Upload(
        uid=row.uid,
        owner=row.owner,
        length=row.length,
        offset=row.offset,
        generation=row.generation,
        state=row.state,
        created=row.created,
        expires=row.expires,
        sid=row.sid,
    )


def _open(session: Session, uid: str) -> UploadRow:
    row = rows.held(session, UploadRow, uid)
    if row is None:
        raise NotFound
    if row.state != OPEN:
        raise StateConflict("The upload is over.")
    return row


def held(session: Session, uid: str, generation: int) -> UploadRow:
    """The row of an open upload, held until the transaction ends; raises `LeaseLost`, `NotFound` or `StateConflict`."""
    row = _open(session, uid)
    if row.generation != generation:
        raise LeaseLost("A newer request writes this upload.")
    return row


def _digest(submission: str) -> str:
    """What somebody calls a batch may say whose it is; alike or not is all that is needed."""
    return hashlib.blake2b(submission.encode(), digest_size=16).hexdigest()


def _seal_digest(session: Session, vault: Vault, uid: str, sha256: str) -> None:
    row = rows.get(session, VaultRow, uid)
    if row is None:
        raise NotFound
    said = vault.open(uid, row.sealed)
    row.sealed = vault.seal(uid, Untrusted(said.filename, said.metadata, sha256))
