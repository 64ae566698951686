"""A file on its way to its name: half written it bears another one, and nobody else's hand reaches it.

`.NAME.<token>.part` holds the bytes, `.NAME.<token>.journal` says how far they can be believed. Each build has a token
of its own, so one that was given up for dead and wakes up again writes into its own files and no other's. Whoever
writes holds a lock on the part: that is how the dead are told from the living when leftovers are deleted.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from coverslip.durable import flush, our_errors, sync
from coverslip.errors import OutputExists

storage_errors: Final = partial(our_errors, where="pyramid")
"""Our own files' complaints, as errors of the tree."""
_PART: Final = ".part"
_JOURNAL: Final = ".journal"
_BUFFER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Leftover:
    """The two files of a build that is under way, or was."""

    part: Path

    @property
    def journal(self) -> Path:
        """What it had finished; need not exist."""
        return self.part.with_suffix(_JOURNAL)

    def remove(self) -> None:
        """Delete both; the journal last, lest a part without one be taken for the whole of it."""
        self.part.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)

    def leave(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete both when a build ends, well or not; what stops the process leaves what the next can go on with."""
        if kind is None or issubclass(kind, Exception) or not self.journal.exists():
            self.remove()


@contextmanager
def written_whole(target: Path) -> Iterator[tuple[BinaryIO, Leftover]]:
    """A file that has its name only when everything is on disk, and what it is called until then.

    Whatever fails leaves nothing behind. Only what stops the process in mid-work does (a kill, a power cut, Ctrl-C when
    a journal was begun): the next build of the same name takes it up and deletes it. Raises OutputExists when something
    has the name already.
    """
    if target.exists():
        remove_dead(target)
        raise OutputExists(where="pyramid")
    with storage_errors():
        file, own = _begun(target)
    with ExitStack() as leaving:
        leaving.push(own.leave)
        leaving.enter_context(file)
        yield file, own
        with storage_errors():  # all under the lock: whoever finds it free takes us for dead
            file.flush()
            flush(file.fileno())
            own.part.replace(target)
            sync(target.parent)
    remove_dead(target)


def leftovers(target: Path) -> Iterator[Leftover]:
    """What builds of this name left behind, or are writing now. Raises StorageFailed."""
    front, end = f".{target.name}.", _PART
    with storage_errors():
        names = [entry.name for entry in os.scandir(target.parent) if entry.name.startswith(front)]
    stems = {name.removesuffix(_JOURNAL).removesuffix(end) for name in names if name.endswith((_JOURNAL, end))}
    yield from (Leftover(target.with_name(stem + end)) for stem in sorted(stems))


def remove_dead(target: Path) -> None:
    """Delete leftovers that nobody writes any more, as far as we may. Raises StorageFailed."""
    for leftover in leftovers(target):
        with suppress(OSError):  # somebody else's: what was made is none the worse for it
            _remove_if_dead(leftover)


def _remove_if_dead(leftover: Leftover) -> None:
    if not leftover.part.exists():
        leftover.journal.unlink(missing_ok=True)
        return
    handle = os.open(leftover.part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _locked(handle):
            leftover.remove()
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Take the writer's lock; False while somebody has it, and where there are no locks: then it cannot be known."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _begun(target: Path) -> tuple[BinaryIO, Leftover]:
    """A new file nobody else has; made again should another build take it for dead before it is locked."""
    while True:
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
        file = part.open("xb", buffering=_BUFFER)
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        except OSError:  # no locks on this file system: then nobody deletes what others left
            return file, Leftover(part)
        if part.exists():
            return file, Leftover(part)
        file.close()
