"""Calls the kernel by every number that is not listed; runs inside a confined child."""

from __future__ import annotations

import errno
import os
import platform
from typing import Final

from coverslip.confined import calls, libc
from coverslip.confined.messages import Declined, Outcome, Task
from coverslip.progress import Progress

NOTHING: Final = (-1,) * 6
"""Arguments that no call can do anything with."""
LAST: Final = 600
OF_PROBES: Final = frozenset({335, 336}) if platform.machine() == "x86_64" else frozenset()
"""uretprobe and uprobe: newer kernels let them past every filter, and kill who calls them from elsewhere."""


def _listed() -> set[int]:
    import pyseccomp

    conditional = ("clone", "prlimit64", "sched_getaffinity", "prctl", "ioctl", "fcntl", "mmap", "mprotect")
    machine = getattr(pyseccomp.Arch, calls.MACHINES[platform.machine()])
    return {pyseccomp.resolve_syscall(machine, name) for name in (*calls.ALLOWED, *conditional)}


LISTED: Final = _listed() if platform.machine() in calls.MACHINES and calls.program() else set(range(LAST))
"""Found before the walls stand: libseccomp is looked for by starting programs."""


def ask(task: Task, progress: Progress) -> Outcome:
    """Write down what each call came back with."""
    answers = [f"{number} {asked(number)}" for number in range(LAST) if number not in LISTED | OF_PROBES]
    (task.out_dir / "answers").write_text("\n".join(answers))
    return Declined(code="unsupported-slide")


def asked(number: int) -> str:
    """The name of the error of one call."""
    us = os.getpid()
    try:
        libc.syscall(number, *NOTHING)
    except OSError as error:
        return errno.errorcode[error.errno]
    if os.getpid() != us:
        os._exit(0)
    return "allowed"
