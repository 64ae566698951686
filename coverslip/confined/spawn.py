"""Starting a process that will look at slides. Imports next to nothing: the command line does this before all else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent.parent
KEPT_BYTES: Final = 8 << 20
"""Of freed memory, in each of two arenas: a few blocks of tiles. More would only raise the peak of a large slide."""
KEPT: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
"""Variables that are passed on."""

Begun = tuple["subprocess.Popen[bytes]", socket.socket]
"""A process that children can be forked from, soon, and our end of the way to it."""


def zygote(*modules: str) -> Begun:
    """Begin loading those modules in a new process; returns at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        handle = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "coverslip.confined.zygote", str(handle), str(os.getpid()), *modules],
            pass_fds=(handle,),
            env=bare_environment(),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process, ours


def bare_environment() -> dict[str, str]:
    """No secret of ours reaches a process that looks at slides; thread pools of libraries stay small.

    Memory that a block of tiles took is kept for the next: given back each time, its pages cost more than its bytes.
    """
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
    }
