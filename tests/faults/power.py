"""A file system whose power can be cut at any moment: ext4 in a file on XFS, and a reflink copy of that file.

The copy holds what the disk would hold had the power gone: what was synced, and whatever happened to be written back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.kernel import ask_kernel, mounted

OUTER = 1 << 30
INNER = 128 << 20


class Powered:
    """One mounted ext4, and what it would be after a cut now."""

    def __init__(self, disk: Path, image: Path) -> None:
        self.disk = disk
        self._image = image
        self._count = 0

    @contextmanager
    def cut(self) -> Iterator[Path]:
        """The file system as a reboot finds it after power was lost at this moment; its journal is replayed."""
        self._count += 1
        snapshot = self._image.with_name("after")
        snapshot.unlink(missing_ok=True)
        ask_kernel("cp", "--reflink=always", self._image, snapshot)
        with mounted(self.disk.with_name(f"after-{self._count}"), "-o", "loop", snapshot) as found:
            yield found


@contextmanager
def powered(folder: Path) -> Iterator[Powered]:
    """Make both file systems; skips with the kernel's reason where that is forbidden."""
    outer = folder / "outer.img"
    with outer.open("wb") as file:
        file.truncate(OUTER)
    ask_kernel("mkfs.xfs", "-q", "-m", "reflink=1", outer)
    with mounted(folder / "outer", "-o", "loop", outer) as shelf:
        image = shelf / "disk.img"
        with image.open("wb") as file:
            file.truncate(INNER)
        ask_kernel("mkfs.ext4", "-q", "-F", image)
        with mounted(folder / "disk", "-o", "loop", image) as disk:
            yield Powered(disk, image)
