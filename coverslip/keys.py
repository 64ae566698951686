"""The collection key: what pseudonyms and keyed digests are made with. Without it nobody can try values out."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from coverslip.errors import StorageFailed

KEY_BYTES: Final = 32


def default_key_file() -> Path:
    """`COVERSLIP_KEY_FILE`, or a file in the user's data folder."""
    named = os.environ.get("COVERSLIP_KEY_FILE")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(named) if named else Path(base) / "coverslip" / "collection.key"


def load_key(path: Path | None = None) -> bytes:
    """The key in `path`, made on first use and readable by its owner only. Raises StorageFailed."""
    path = path or default_key_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path)
        key = path.read_bytes()
    except OSError as error:
        raise StorageFailed("the collection key can be neither read nor made") from error
    if len(key) < KEY_BYTES:
        raise StorageFailed(f"the collection key is shorter than {KEY_BYTES} bytes")
    return key


def _create(path: Path) -> None:
    """Complete under its name or not there at all, also when two processes start together."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.touch(mode=0o600)
    draft.write_bytes(secrets.token_bytes(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def digest(key: bytes, value: bytes, *, purpose: str) -> str:
    """A keyed digest (HMAC-SHA256, hex): equal values are recognised, no value can be tried out without the key."""
    return hmac.new(key, purpose.encode() + b"\0" + value, hashlib.sha256).hexdigest()
