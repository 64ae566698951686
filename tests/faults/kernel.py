"""What the machine lets us do to it: file systems to fill and to cut off, calls to fail; and how to say it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

KERNEL_FORBIDS = "the kernel forbids it: "
"""As tests/conftest.py knows it: such a skip is no failure in CI."""


SLACK = 4 << 20
"""Bytes a group that is squeezed may still take before somebody is killed."""


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


def fill(disk: Path, leave: int = 0) -> Path:
    """Take all room of a file system but some; the file that has it, to be deleted."""
    ballast, found = disk / "ballast", os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, found.f_bavail * found.f_frsize - leave)))
    return ballast


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system that can be filled and locked; each returns what undoes it."""

    path: Path
    _open: Path
    _locked: Path
    """The same by other ways, of which one is always open to writers and the other never."""

    def fill(self) -> Callable[[], None]:
        """Leave no room on it."""
        with suppress(OSError):  # others take some meanwhile
            fill(self._open)
        return partial((self._open / "ballast").unlink, missing_ok=True)

    def lock(self) -> Callable[[], None]:
        """Make it read-only for whoever opens a file from now on, as Linux makes one that fails."""
        over = ExitStack()
        over.enter_context(mounted(self.path, "--bind", self._locked))
        return over.close


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """One of `size`, as tmpfs is asked for it."""
    with (
        mounted(folder / "disk", "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as path,
        mounted(folder / "open", "--bind", path) as always_open,
        mounted(folder / "locked", "--bind", path) as locked,
    ):
        ask_kernel("mount", "-o", "remount,bind,ro", locked)
        yield Disk(path, always_open, locked)


class Memory:
    """A group of processes that together get so much memory and no more: beyond it the kernel kills one of them."""

    def __init__(self, folder: Path, limit: str, kills: str, usage: str) -> None:
        self.join = f"open({str(folder / 'cgroup.procs')!r}, 'w').write('0')"
        """Code that puts whoever runs it into the group, and its children with it."""
        self._folder, self._limit, self._kills, self._usage = folder, limit, kills, usage

    def add(self, pid: int) -> None:
        """Put somebody else into it, with the children it will have."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    @property
    def used(self) -> int:
        """Bytes it needs now."""
        return int((self._folder / self._usage).read_text())

    def bound(self, size: int) -> None:
        """Set the limit."""
        (self._folder / self._limit).write_text(str(size))

    def squeeze(self) -> None:
        """Let it have no more than it needs at this moment, and take some of that: the kernel kills somebody of it."""
        with suppress(OSError):  # refused: less cannot be had without killing
            for _ in range(100):
                self.bound(self.used * 9 // 10)
        with suppress(OSError):  # it took some meanwhile: then there is less left
            self.bound(self.used + SLACK)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-S", "-c", self._hog], timeout=5, check=False, stderr=subprocess.DEVNULL)

    @property
    def _hog(self) -> str:
        """Code that takes memory inside the group until somebody was killed, but not itself."""
        return "\n".join(
            (
                self.join,
                "open('/proc/self/oom_score_adj', 'w').write('-1000')",
                f"kills = lambda: open({str(self._folder / self._kills)!r}).read()",
                "before, held = kills(), []",
                "while kills() == before and len(held) < 256: held.append(b'x' * (1 << 20))",
            )
        )

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
        (first, ("memory.limit_in_bytes", "memory.oom_control", "memory.usage_in_bytes"))
        if first.is_dir()
        else (second, ("memory.max", "memory.events", "memory.current"))
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


@contextmanager
def process_group() -> Iterator[Path]:
    """A pids cgroup (version 1 or 2) of our own: `cgroup.procs` takes members, `pids.max` is how many there may be."""
    first, second = Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")
    folder = (first if first.is_dir() else second) / f"coverslip-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        (folder / "pids.max").write_text("max")
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        kernel_forbids(f"a pids cgroup: {error.strerror}")
    try:
        yield folder
    finally:
        _remove(folder)


@contextmanager
def memory_group_if_any(size: int) -> Iterator[Memory | None]:
    """The same, or None where the kernel gives us none."""
    with ExitStack() as stack:
        try:
            group = stack.enter_context(memory_group(size))
        except pytest.skip.Exception:
            group = None
        yield group


def _remove(folder: Path) -> None:
    """The kernel lets go of a group a moment after its last process ended."""
    for _ in range(600):
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.1)
    raise TimeoutError("somebody is still in the memory cgroup")
