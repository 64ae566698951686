"""The words of tus 1.0.0 (tus.io/protocols/resumable-upload): headers in, headers out, no bytes and no state."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from service.errors import ContentTypeWrong, Malformed, TooLarge, TusVersionUnknown

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
"""No concatenation: it rewrites 10 GB, and led out of the folder elsewhere. No deferred length: no quota then."""
CHUNK_TYPE = "application/offset+octet-stream"
METADATA_LIMIT = 4096
"""Characters of Upload-Metadata; a file name fits many times."""

_DIGITS = re.compile(r"[0-9]{1,18}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
POLICIES = ("strict", "research")
"""Built-in policies a client may ask for; any other is the installation's own setting."""
_UNDERSTOOD = frozenset(("filename", "sha256", "policy", "collection"))
_POLICY = re.compile("|".join(POLICIES))
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_REPR_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True, repr=False)
class Metadata:
    """What a client says about a file; the name is an identifier and goes to the vault only."""

    untrusted_filename: str
    sha256: str | None
    """Lower-case hex of the whole file, when the client could hash before sending."""
    policy: str | None
    collection: str | None
    submission: str | None
    """What was sent together has the same one."""
    untrusted_others: tuple[str, ...] = ()
    """What else it said: a folder's name, a path. It is looked for in the clean slide, and shown to nobody."""

    def wishes(self) -> dict[str, str]:
        """What has to be remembered beside the name until the file is complete."""
        said = {"sha256": self.sha256, "policy": self.policy, "collection": self.collection}
        said["submission"] = self.submission
        others = {f"said[{n}]": value for n, value in enumerate(self.untrusted_others)}
        return {key: value for key, value in said.items() if value is not None} | others


def require_version(headers: Mapping[str, str]) -> None:
    """Every request but OPTIONS must name the version (tus, "Headers", Tus-Resumable)."""
    if headers.get("tus-resumable") != VERSION:
        raise TusVersionUnknown


def require_chunk(headers: Mapping[str, str]) -> None:
    """A PATCH body is one kind of thing, not compressed on the way."""
    if headers.get("content-type") != CHUNK_TYPE or headers.get("content-encoding", "identity") != "identity":
        raise ContentTypeWrong


def length_of(headers: Mapping[str, str], limit: int) -> int:
    """Upload-Length, present and within the limit."""
    length = _number(headers.get("upload-length", ""), "Upload-Length")
    if length == 0:
        raise Malformed("An empty file is not a slide.")
    if length > limit:
        raise TooLarge
    return length


def offset_of(headers: Mapping[str, str]) -> int:
    """Upload-Offset of a PATCH."""
    return _number(headers.get("upload-offset", ""), "Upload-Offset")


def announced_bytes(headers: Mapping[str, str]) -> int | None:
    """Content-Length, or None when the body comes chunked."""
    text = headers.get("content-length")
    return None if text is None else _number(text, "Content-Length")


def metadata_of(headers: Mapping[str, str]) -> Metadata:
    """Upload-Metadata: comma separated `key base64(value)` pairs."""
    text = headers.get("upload-metadata", "")
    if len(text) > METADATA_LIMIT:
        raise TooLarge("Upload-Metadata is longer than 4096 characters.")
    pairs = dict(_pair(part.strip()) for part in text.split(",") if part.strip())
    name = pairs.get("filename", pairs.get("name", ""))
    return Metadata(
        untrusted_filename=name,
        sha256=_hex_digest(pairs.get("sha256")),
        policy=_choice(pairs.get("policy"), "policy", _POLICY),
        collection=_choice(pairs.get("collection"), "collection", _WORD),
        submission=_choice(pairs.get("submission"), "submission", _WORD),
        untrusted_others=tuple(value for key, value in pairs.items() if key not in _UNDERSTOOD and value != name),
    )


def digest_of(headers: Mapping[str, str]) -> str | None:
    """Hex SHA-256 of the whole file from `Repr-Digest` (RFC 9530), or None when the request carries none."""
    text = headers.get("repr-digest")
    if text is None:
        return None
    found = _REPR_DIGEST.fullmatch(text.strip())
    if not found:
        raise Malformed("Repr-Digest: one sha-256 is expected.")
    return base64.b64decode(found[1]).hex()


def expires(at: datetime) -> str:
    """Upload-Expires as the protocol wants it."""
    return format_datetime(at.astimezone(UTC), usegmt=True)


def _number(text: str, header: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise Malformed(f"{header}: a whole number is expected.")
    return int(text)


def _pair(untrusted_text: str) -> tuple[str, str]:
    key, _, value = untrusted_text.partition(" ")
    if not _KEY.fullmatch(key):
        raise Malformed("Upload-Metadata: a key is not a plain word.")
    try:
        return key, base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Malformed("Upload-Metadata: a value is not base64 of UTF-8.") from None


def _choice(text: str | None, key: str, allowed: re.Pattern[str]) -> str | None:
    """A policy must be a built-in one: a name from a client is never a path."""
    if text and not allowed.fullmatch(text):
        raise Malformed(f"Upload-Metadata, {key}: not one of those there are.")
    return text or None


def _hex_digest(text: str | None) -> str | None:
    if text is not None and not _SHA256.fullmatch(text):
        raise Malformed("Upload-Metadata, sha256: 64 hexadecimal digits are expected.")
    return text.lower() if text else None
