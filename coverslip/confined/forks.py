"""A child and its twin as processes: forked, waited for, buried together."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from coverslip.confined import libc

GRACE: Final = 0.1
"""Seconds a twin has to see that its child is gone; one at work never does."""


def forked(run: Callable[[], int]) -> int | None:
    """The number of a new process that leaves when `run` returns, and as it says; None where there can be none."""
    parent = os.getpid()
    try:
        process = os.fork()
    except OSError:
        return None
    if process == 0:
        status = 1
        try:
            libc.die_with_parent(parent)
            libc.prctl(libc.PR_SET_DUMPABLE, 1)  # or our supervisor could not look at us, nor we say who we are
            status = run()
        finally:
            os._exit(status)
    return process


def asks(child: int, door: int) -> bool:
    """Wait until a child asks at the door (True) or ends; `child` is its pidfd."""
    ready, _, _ = select.select([child, door], [], [])
    return child not in ready


def buried(child: int, twin: int | None) -> dict[str, float]:
    """Wait for a child, and end its twin with it; what killed the twin has ended the child as well."""
    _, status, own = os.wait4(child, 0)
    used = [own]
    if twin is not None:
        with handle_of(twin) as ended:
            late = not select.select([ended], [], [], GRACE)[0]
        if late:
            os.kill(twin, signal.SIGKILL)
        _, its_status, its = os.wait4(twin, 0)
        used.append(its)
        if not late and os.WIFSIGNALED(its_status) and not os.WIFSIGNALED(status):
            status = its_status
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return {"status": status, "cpu": cpu, "peak": max(usage.ru_maxrss for usage in used) * 1024}


@contextmanager
def handle_of(process: int) -> Iterator[int]:
    """A pidfd: taken before the process is reaped, its number may be used again and this cannot."""
    handle = os.pidfd_open(process)
    try:
        yield handle
    finally:
        os.close(handle)
