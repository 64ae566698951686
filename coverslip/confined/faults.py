"""What goes wrong in a process that looks at slides, as a message: its one outermost edge."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from coverslip.confined.messages import Failed, place
from coverslip.errors import ChildCrashed, ChildOutOfMemory, CoverslipError, LimitExceeded, StorageFailed, StorageFull

T = TypeVar("T")
MACHINE_FAULTS = {
    errno.EFBIG: LimitExceeded.code,
    errno.ENOSPC: StorageFull.code,
    errno.EDQUOT: StorageFull.code,
    errno.EIO: StorageFailed.code,
    errno.EROFS: StorageFailed.code,
}
"""What the file system says that is no fault of the slide's (but for EFBIG: its output passed the limit)."""


def outcome(work: Callable[[], T]) -> T | Failed:
    """What `work` returns, or how it failed: a code and a place, never what an error says."""
    try:
        return work()
    except CoverslipError as error:
        return Failed(code=error.code, where=place(error.where))
    except MemoryError:
        return Failed(code=ChildOutOfMemory.code)
    except OSError as error:
        code = MACHINE_FAULTS.get(error.errno or 0)
        return Failed(code=code) if code else crash(error)
    except Exception as error:  # noqa: BLE001  the outermost edge: nothing of it but its place goes on
        return crash(error)


def crash(error: Exception) -> Failed:
    """Where in our own sources an unexpected error arose and what kind it is, never what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    line = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Failed(code=ChildCrashed.code, where=place(f"{line} {type(error).__name__}"))
