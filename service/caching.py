"""How long others may keep what we answer."""

from __future__ import annotations

from datetime import timedelta
from email.utils import formatdate, parsedate_to_datetime

CACHE_PUBLIC = "public, max-age=60, must-revalidate"
"""A released slide under its floating address: keep it, and ask again after a minute."""
CACHE_PRIVATE = "private, no-store"
"""Anything not released: keep nothing."""


def pinned(lifetime: timedelta) -> str:
    """A released slide under its pinned address, where nothing ever changes."""
    return f"public, max-age={int(lifetime.total_seconds())}, immutable"


def fresh(untrusted_tags: str | None, untrusted_since: str | None, etag: str, modified: int) -> bool:
    """Whether the caller has what we have: by If-None-Match, else by If-Modified-Since (RFC 9110, 13.2.2).

    `modified` in seconds of the epoch, 0 when unknown.
    """
    if untrusted_tags is not None:
        return none_match(untrusted_tags, etag)
    if untrusted_since is None or not modified:
        return False
    try:
        return parsedate_to_datetime(untrusted_since).timestamp() >= modified
    except (ValueError, OverflowError):
        return False  # a date that does not parse is ignored (13.1.3)


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
