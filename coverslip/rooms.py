"""Hidden folders in which work is done: gone afterwards, and told from dead ones by a lock.

    .coverslip-XXXXXXXX/lock      held by whoever works there, as long as it lives
    .coverslip-XXXXXXXX/names     what was about to get its final name beside the folder
    .coverslip-XXXXXXXX/room/     where the work is done; all that a confined child can write to

A process that is killed leaves its folder, and in it perhaps an original, unpacked. The next one deletes it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.clearing import clear
from coverslip.durable import our_errors
from coverslip.errors import StorageFailed
from coverslip.interrupts import Shielded

PREFIX: Final = ".coverslip-"
LOCK: Final = "lock"
NAMES: Final = "names"
ROOM: Final = "room"
_OURS: Final = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}", re.ASCII)
NEW: Final = 60.0
"""Seconds in which a folder gets its lock."""
OLD: Final = 24 * 3600.0
"""Seconds after which a folder without a lock is nobody's: versions before this one made such."""


@dataclass(frozen=True, slots=True)
class _House:
    """A folder of ours and its lock."""

    folder: Path
    lock: int

    @classmethod
    def built(cls, parent: Path) -> _House:
        """A new one, that nobody takes for dead. Raises `OSError`."""
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            try:
                lock = os.open(folder / LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
                if _locked(lock) is not False and (folder / LOCK).exists():
                    (folder / ROOM).mkdir(mode=0o700)
                    return cls(folder, lock)
                os.close(lock)
            except FileNotFoundError:  # swept before it was locked
                continue

    def torn_down(self) -> None:
        """Delete it, the lock last. Raises `StorageFailed`: that an original goes is part of the promise."""
        try:
            with suppress(FileNotFoundError):
                clear(self.folder / ROOM)
            clear(self.folder)
        except OSError as error:
            raise StorageFailed("a folder that was worked in cannot be deleted", where=PREFIX + "…") from error
        finally:
            os.close(self.lock)


_open: set[_House] = set()


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A hidden folder below `parent`, gone afterwards whatever happens. Raises StorageFailed."""
    with our_errors("output"), Shielded():
        parent.mkdir(parents=True, exist_ok=True)
        house = _House.built(parent)
        _open.add(house)
    try:
        yield house.folder / ROOM
    finally:
        with Shielded():
            _open.discard(house)
            house.torn_down()


def leave_all() -> None:
    """Delete what is still worked in: for whoever was interrupted between two steps, and ends now."""
    while _open:
        with suppress(StorageFailed):
            _open.pop().torn_down()


def about_to_name(room: Path, names: Sequence[str]) -> None:
    """Note what gets its final name beside the folder next, the first of them last. Raises `OSError`."""
    if _OURS.fullmatch(room.parent.name):
        (room.parent / NAMES).write_text(json.dumps(list(names)), encoding="utf-8")


def sweep(parent: Path) -> None:
    """Delete what processes that were killed left below a folder, and half of a slide's files that they had named."""
    with suppress(OSError):
        for entry in list(os.scandir(parent)):
            if _OURS.fullmatch(entry.name) and _is_ours(entry):
                with suppress(OSError):
                    _sweep(Path(entry.path))


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """A folder that this user made: in a folder all may write to, a name says nothing."""
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _sweep(folder: Path) -> None:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        _sweep_unlocked(folder)
        return
    try:
        if _locked(lock):
            _take_back(folder)
            with suppress(FileNotFoundError):
                clear(folder / ROOM)
            clear(folder)
    finally:
        os.close(lock)


def _sweep_unlocked(folder: Path) -> None:
    """Somebody is about to lock it, or was killed then, or is older than locks are."""
    age = time.time() - folder.lstat().st_mtime
    if age > OLD:
        clear(folder)
    elif age > NEW:
        folder.rmdir()  # if it is empty


def _take_back(folder: Path) -> None:
    """Delete what had got its final name when the slide itself had not."""
    try:
        names = json.loads((folder / NAMES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # it had not come so far
        return
    paths = [folder.parent / Path(name).name for name in names]
    if paths and not paths[0].exists():
        for path in paths[1:]:
            path.unlink(missing_ok=True)


def _locked(handle: int) -> bool | None:
    """Take the lock; False while somebody has it, None where there are no locks: then nobody can be told dead."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
