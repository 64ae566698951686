"""Reasons not to start, and the key a loopback demo makes for itself."""

from __future__ import annotations

import os
from pathlib import Path

from coverslip.archive.archive import Archive
from coverslip.archive.catalog import Catalog
from coverslip.archive.records import ApiKey, Principal
from coverslip.archive.vault import load_or_create_key
from coverslip.errors import CoverslipError
from coverslip.settings import Settings
from service.addresses import is_loopback
from service.roles import Role

DEMO_LABEL = "demo"
SHORTEST_KEY = 32
"""Characters of a `secret_key` somebody sets by hand."""


class UnsafeStart(CoverslipError):
    """Running like this would open the door; the process ends instead."""

    code = "unsafe-start"
    summary = "This configuration is not safe to run."


def require_safe_start(settings: Settings, catalog: Catalog) -> None:
    """Raise `UnsafeStart` with the reason, if there is one."""
    key = settings.secret_key.get_secret_value()
    if key and len(key) < SHORTEST_KEY:
        raise UnsafeStart(f"COVERSLIP_SECRET_KEY is shorter than {SHORTEST_KEY} characters.")
    if is_loopback(settings.host):
        return
    if settings.demo:
        raise UnsafeStart("The demo signs everybody in: it runs on a loopback address only.")
    if not any(_in_force(known) for known in every_key(catalog)):
        raise UnsafeStart("No API key exists. Make one with `python -m service key` before listening beyond loopback.")


def demo_key(settings: Settings, archive: Archive) -> str | None:
    """Id of a demo's admin key, its secret in a file only we read; None when this is no demo.

    One that starts again, or beside another, goes on with the key there is: pages stay open and commands go on.
    """
    if not settings.demo:
        return None
    if (kept := _kept_demo_key(settings, archive.catalog)) is not None:
        return kept
    for known in every_key(archive.catalog):
        if known.label == DEMO_LABEL and _in_force(known):
            archive.catalog.revoke_key(known.id)
    key_id, secret = archive.catalog.create_key(DEMO_LABEL, {Role.ADMIN}, DEMO_LABEL)
    _write_private(demo_secret_file(settings), secret)
    return key_id


def _kept_demo_key(settings: Settings, catalog: Catalog) -> str | None:
    try:
        secret = demo_secret_file(settings).read_text()
    except (OSError, UnicodeDecodeError):
        return None
    holder = catalog.principal(secret)
    return None if holder is None or holder.owner != DEMO_LABEL else holder.key_id


def demo_secret_file(settings: Settings) -> Path:
    """Where a demo's key lies for the command line."""
    return settings.data_dir / "phi" / "demo.key"


def session_key(settings: Settings, archive: Archive) -> bytes:
    """What cookies are signed with: every process of a site must agree on it."""
    key = settings.secret_key.get_secret_value()
    return key.encode() if key else load_or_create_key(archive.storage.secret("session"))


def principal_of_key(catalog: Catalog, key_id: str) -> Principal | None:
    """Who a key id stands for now; None once revoked."""
    found = next((known for known in every_key(catalog) if known.id == key_id and _in_force(known)), None)
    return Principal(found.id, found.owner, found.roles) if found else None


def every_key(catalog: Catalog) -> tuple[ApiKey, ...]:
    """All keys, revoked ones too; bound to a name because the catalogue's method reads like a dictionary's."""
    return catalog.keys()


def _in_force(key: ApiKey) -> bool:
    return key.revoked is None


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
