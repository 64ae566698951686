"""Processes that are not ours to wait for: whether they still run, and putting a whole family to sleep."""

import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from coverslip.stopped import is_stopped


def runs(pid: int) -> bool:
    """Whether it has not ended (a zombie has); it may while we ask."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_stopped(pid: int) -> None:
    """Until a signal has stopped it: that takes a moment to arrive."""
    deadline = time.monotonic() + 60
    while not is_stopped(Path(f"/proc/{pid}/stat").read_bytes()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def suspend(processes: Sequence[psutil.Process], database: Path, writer: int | None = None) -> None:
    """SIGSTOP of all of them, at a moment at which none of them writes to an SQLite catalogue, or `writer` does."""
    wanted = set() if writer is None else {writer}
    while True:
        for process in processes:
            process.suspend()
        if writers(database) & {process.pid for process in processes} == wanted:
            return
        for process in processes:
            process.resume()
        time.sleep(random.random() / 50)


def writers(database: Path) -> set[int]:
    """Who has SQLite's lock for writing: byte 120 of its shared memory (sqlite.org/walformat.html, 2.3.1)."""
    inode = database.with_name(f"{database.name}-shm").stat().st_ino
    held = re.findall(rf"WRITE (\d+) \S+:{inode} 120 120$", Path("/proc/locks").read_text(), re.MULTILINE)
    return {int(pid) for pid in held}
