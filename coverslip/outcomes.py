"""How the way of one slide ends: a union of results, each with all that anybody needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coverslip.slide import SlideFacts


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A slide that passed: its files stand under their final names."""

    clean: Path
    certificate: Path
    certificate_html: Path
    scans: Path
    """SHA-256 of every stored tile, 32 bytes each, level by level."""
    sha256: str
    size_bytes: int
    facts: SlideFacts
    route: str
    removed: int
    kept: int
    replaced: int
    pyramid: Path | None = None
    """The deep-zoom index, where one was asked for."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A slide somebody has to look at: its structure is not understood, or its clean copy did not pass."""

    code: str
    reasons: tuple[str, ...]
    """Places and our own words, never values."""
    certificate: Path | None = None
    """The failed certificate, when the slide got as far as the verifier."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that cannot be processed."""

    code: str
    where: str
    detail: str


Outcome = Cleaned | Quarantined | Rejected
