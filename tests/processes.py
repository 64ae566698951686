"""Whether processes that are not ours to wait for still run."""

from pathlib import Path


def runs(pid: int) -> bool:
    """Whether it has not ended (a zombie has); it may while we ask."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
