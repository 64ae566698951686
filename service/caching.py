"""How long others may keep what we answer."""

from __future__ import annotations

from datetime import timedelta

CACHE_PUBLIC = "public, max-age=60, must-revalidate"
"""A released slide under its floating address: keep it, and ask again after a minute."""
CACHE_PRIVATE = "private, no-store"
"""Anything not released: keep nothing."""


def pinned(lifetime: timedelta) -> str:
    """A released slide under its pinned address, where nothing ever changes."""
    return f"public, max-age={int(lifetime.total_seconds())}, immutable"


def none_match(untrusted_header: str, etag: str) -> bool:
    """Whether If-None-Match names what we have: a list or `*`, compared weakly (RFC 9110, 13.1.2)."""
    if not untrusted_header:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in untrusted_header.split(",")]
    return "*" in tags or etag in tags
