"""What the machine lets us do to it: file systems to fill and to cut off, calls to fail; and how to say it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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
