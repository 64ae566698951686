"""How long others may keep what we answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate, parsedate_to_datetime

from coverslip.errors import Outdated

Asked = Callable[[str], str | None]

CACHE_PUBLIC = "public, max-age=60, must-revalidate"
"""A released slide under its floating address: keep it, and ask again after a minute."""
CACHE_PRIVATE = "private, no-store"
"""Anything not released: keep nothing."""


def pinned(lifetime: timedelta) -> str:
    """A released slide under its pinned address, where nothing ever changes."""
    return f"public, max-age={int(lifetime.total_seconds())}, immutable"


def unchanged(asked: Asked, etag: str, modified: int) -> bool:
    """Whether the caller has what we have (304); `asked` gives request headers by their lower-case name.

    Raises `Outdated` (412) when the caller wants something else than what we have (RFC 9110, 13.2.2). `modified` in
    seconds of the epoch, 0 when unknown.
    """
    tags, since = asked("if-match"), asked("if-unmodified-since")
    if (tags is not None and not match(tags, etag)) or (tags is None and since and _later(modified, since)):
        raise Outdated
    return fresh(asked("if-none-match"), asked("if-modified-since"), etag, modified)


def _later(modified: int, untrusted_since: str) -> bool:
    moment = _seconds(untrusted_since)
    return moment is not None and modified > moment


def fresh(untrusted_tags: str | None, untrusted_since: str | None, etag: str, modified: int) -> bool:
    """Whether the caller has what we have: by If-None-Match, else by If-Modified-Since (RFC 9110, 13.2.2).

    `modified` in seconds of the epoch, 0 when unknown.
    """
    if untrusted_tags is not None:
        return none_match(untrusted_tags, etag)
    moment = _seconds(untrusted_since) if untrusted_since and modified else None
    return moment is not None and moment >= modified


def _seconds(untrusted_date: str) -> float | None:
    """A moment; None for a date that does not parse, which is ignored (13.1.3, 13.1.4)."""
    try:
        return parsedate_to_datetime(untrusted_date).timestamp()
    except (ValueError, OverflowError):
        return None


def match(untrusted_tags: str, etag: str) -> bool:
    """Whether If-Match allows a change: `*`, or a list compared strongly (RFC 9110, 13.1.1)."""
    tags = [tag.strip() for tag in untrusted_tags.split(",")]
    return "*" in tags or etag in tags


def http_date(seconds: int) -> str:
    """As Last-Modified says it."""
    return formatdate(seconds, usegmt=True)


def none_match(untrusted_header: str, etag: str) -> bool:
    """Whether If-None-Match names what we have: a list or `*`, compared weakly (RFC 9110, 13.1.2)."""
    if not untrusted_header:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in untrusted_header.split(",")]
    return "*" in tags or etag in tags
