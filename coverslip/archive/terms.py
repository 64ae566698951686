"""How long a claim holds and how often work is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Terms:
    """What a site can choose, and what it need not."""

    lease: timedelta = timedelta(seconds=60)
    retry_delay: timedelta = timedelta(seconds=5)
    """Wait before the second attempt; twice that before the third."""
    max_attempts: int = 3
    patience: int = 50
    """Times a job is put off because of the machine; after that it counts as an attempt."""
    longest_delay: timedelta = timedelta(minutes=5)
    """Wait before a job that was put off again and again; 50 times are about four hours."""
    complete_pyramids: bool = False
    """Whether a slide that came to review gets a job for its complete pyramid."""
