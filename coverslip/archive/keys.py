"""API keys: 256 random bits shown once; the catalogue keeps a digest (docs/decisions/0001-api-key-digests.md)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coverslip.archive import events, rows
from coverslip.archive.models import KeyRow
from coverslip.archive.records import ApiKey, Principal
from coverslip.errors import NotFound

ROLES = frozenset({"submitter", "curator", "viewer", "ops", "admin"})
SECRET = re.compile(r"csk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


def create(
    session: Session, now: datetime, *, label: str, roles: Collection[str], owner: str, actor: str
) -> tuple[str, str]:
    """Make a key; returns its id and its secret, never shown again. Raises `NotFound` for an unknown role."""
    if unknown := frozenset(roles) - ROLES:
        raise NotFound(f"There are {len(unknown)} roles here that nobody defined.", where="roles")
    key_id, random = secrets.token_hex(8), secrets.token_urlsafe(32)
    secret = f"csk_{key_id}_{random}"
    row = KeyRow(
        id=key_id,
        label=events.plain(label, 200) or "",
        owner=owner,
        roles=" ".join(sorted(roles)),
        digest=_digest(secret),
        created=now,
    )
    session.add(row)
    events.append(session, now, actor=actor, action="key-created", reason=key_id)
    return key_id, secret


def principal(session: Session, untrusted_secret: str) -> Principal | None:
    """Who holds this secret; None for anything that is not a valid key in force."""
    match = SECRET.fullmatch(untrusted_secret)
    row = rows.get(session, KeyRow, match[1]) if match else None
    # An unknown id costs the same comparison as a known one.
    known = row.digest if row is not None else bytes(32)
    if not hmac.compare_digest(known, _digest(untrusted_secret)) or row is None or row.revoked is not None:
        return None
    return Principal(row.id, row.owner, frozenset(row.roles.split()))


def revoke(session: Session, now: datetime, key_id: str, *, actor: str) -> None:
    """End a key, effective on the next request; raises `NotFound`."""
    row = rows.held(session, KeyRow, key_id)
    if row is None:
        raise NotFound
    if row.revoked is None:
        row.revoked = now
        events.append(session, now, actor=actor, action="key-revoked", reason=key_id)


def every(session: Session) -> tuple[ApiKey, ...]:
    """All keys, oldest first, revoked ones too."""
    rows = session.scalars(select(KeyRow).order_by(KeyRow.created, KeyRow.id))
    return tuple(
        ApiKey(row.id, row.label, row.owner, frozenset(row.roles.split()), row.created, row.revoked) for row in rows
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
