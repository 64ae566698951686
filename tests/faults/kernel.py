"""What the machine lets us do to it: file systems to fill and to cut off, calls to fail; and how to say it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

KERNEL_FORBIDS = "the kernel forbids it: "
"""As tests/conftest.py knows it: such a skip is no failure in CI."""


def kernel_forbids(reason: str) -> NoReturn:
    """Skip, also in CI: only for what the kernel or our rights do not allow, never for a package that is missing."""
    pytest.skip(KERNEL_FORBIDS + reason)


def need(program: str) -> str:
    """A program of the system's; `scripts/test-needs.sh` installs it."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def ask_kernel(*command: str | Path) -> None:
    """Run a command that the kernel may refuse."""
    if os.geteuid() != 0:
        kernel_forbids(f"{command[0]} wants root")
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        kernel_forbids(f"{command[0]}: {done.stderr.strip()}")


@contextmanager
def mounted(folder: Path, *options: str | Path) -> Iterator[Path]:
    """A mount that is gone afterwards."""
    folder.mkdir(exist_ok=True)
    ask_kernel("mount", *options, folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Memory:
    """A group of processes that together get so much memory and no more: beyond it the kernel kills one of them."""

    def __init__(self, folder: Path, limit: str, kills: str) -> None:
        self.join = f"open({str(folder / 'cgroup.procs')!r}, 'w').write('0')"
        """Code that puts whoever runs it into the group, and its children with it."""
        self._folder, self._limit, self._kills = folder, limit, kills

    def bound(self, size: int) -> None:
        """Set the limit."""
        (self._folder / self._limit).write_text(str(size))

    @property
    def kills(self) -> int:
        """How many the kernel has killed."""
        lines = (self._folder / self._kills).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@contextmanager
def memory_group(size: int) -> Iterator[Memory]:
    """A memory cgroup (version 1 or 2) of our own; everybody in it must be gone when the block ends."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, files = (
        (first, ("memory.limit_in_bytes", "memory.oom_control"))
        if first.is_dir()
        else (second, ("memory.max", "memory.events"))
    )
    folder = parent / f"coverslip-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        kernel_forbids(f"a memory cgroup: {error.strerror}")
    try:
        group = Memory(folder, *files)
        try:
            group.bound(size)
            assert group.kills == 0
        except OSError as error:
            kernel_forbids(f"a memory limit for a cgroup: {error.strerror}")
        yield group
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """The kernel lets go of a group a moment after its last process ended."""
    for _ in range(600):
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.1)
    raise TimeoutError("somebody is still in the memory cgroup")
