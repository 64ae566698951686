"""What the pipeline says it did: the only thing the verifier is told, and it believes none of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from coverslip.slide import Route


@dataclass(frozen=True, slots=True)
class Secret:
    """A removed value or a known identifier that must not stand anywhere in the clean slide."""

    path: str
    """The element path it stood at."""
    untrusted_value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the pipeline says it did."""

    clean: Path
    source: Path | None
    """None when the source is not at hand: then nothing can be compared, only the clean slide judged by itself."""
    route: Route
    secrets: tuple[Secret, ...] = ()
    """Everything removed or replaced, plus known identifiers such as the original file name."""
    kept_words: frozenset[str] = field(default=frozenset(), repr=False)
    """Texts the policy kept or wrote on purpose; a removed value equal to one of them is proved by structure."""
