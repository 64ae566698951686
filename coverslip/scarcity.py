"""What a system says that has no process, thread, memory or descriptor left for us: nobody's fault, and it passes."""

from __future__ import annotations

import errno
from typing import Final

SCARCE: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


def is_scarcity(error: BaseException) -> bool:
    """Whether that is what an exception means; Python has no class of its own for a thread that cannot be had."""
    if isinstance(error, OSError):
        return error.errno in SCARCE
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "new thread" in str(error))
