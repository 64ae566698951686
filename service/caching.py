"""How long others may keep what we answer."""

from __future__ import annotations

CACHE_PUBLIC = "public, max-age=60, must-revalidate"
"""A released slide under its floating address: keep it, and ask again after a minute."""
CACHE_PRIVATE = "private, no-store"
"""Anything not released: keep nothing."""
