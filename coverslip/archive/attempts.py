"""The names of attempts at jobs: which folder is whose, and which of two attempts at one job is the earlier."""

from __future__ import annotations

from pathlib import Path


def artefact_name(job: str, token: int) -> str:
    """The directory name of one attempt at one job."""
    return f"{job[:13]}-{token}"


def earlier(draft: Path) -> list[Path]:
    """What lies beside an attempt's scratch folder of earlier ones at the same job, whatever it ends in.

    An attempt that is out of date must not touch the newer one's, so nothing else of the slide counts.
    """
    job, _, token = draft.name.rpartition("-")
    found = [(path, path.name.removeprefix(f"{job}-").partition(".")[0]) for path in draft.parent.glob(f"{job}-*")]
    return [path for path, other in found if other.isdecimal() and int(other) < int(token)]
