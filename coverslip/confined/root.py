"""A root folder with nothing in it but what a child may use: every other name on the machine is gone, not forbidden.

Landlock governs what is in files, not that they are there: without this a child can still ask for the size and times of
any file whose name it guesses. Needs namespaces (mount_namespaces(7)), which containers often forbid.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from coverslip.confined import libc

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on every architecture
PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 1 << 5, 1 << 14, 1 << 18
BARE: Final = 2 | 4 | 8
"""`MS_NOSUID | MS_NODEV | MS_NOEXEC`."""
MNT_DETACH = 2
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
TREE: Final = 1 | os.O_CLOEXEC | AT_RECURSIVE
"""`OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`, with what is mounted below."""
MOVE_MOUNT_F_EMPTY_PATH = 4
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8  # MOUNT_ATTR_…


class _Attributes(ctypes.Structure):
    """`struct mount_attr` of mount_setattr(2)."""

    _fields_ = (("set", ctypes.c_uint64), ("clear", ctypes.c_uint64), ("way", ctypes.c_uint64), ("ns", ctypes.c_uint64))


@dataclass(frozen=True, slots=True)
class Part:
    """A file or folder that stays, with all below it."""

    path: Path
    attributes: int

    @classmethod
    def program(cls, path: Path) -> Part:
        """What the program itself is read from."""
        return cls(path, RDONLY | NOSUID)

    @classmethod
    def readable(cls, path: Path) -> Part:
        """What is looked at: no file in it is a program."""
        return cls(path, RDONLY | NOSUID | NODEV | NOEXEC)

    @classmethod
    def writable(cls, path: Path) -> Part:
        """What is made."""
        return cls(path, NOSUID | NODEV | NOEXEC)


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts that there are, by their real names, and the links that lead to them."""

    parts: dict[str, _Found]
    links: dict[str, str]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Layout:
        """Look for parts; of two with one name the last, and none that comes with the folder it lies in."""
        there = [part for part in parts if part.path.exists()]
        found = {os.path.realpath(part.path): part.attributes for part in there}
        kept = {
            name: _Found(attributes, os.path.isdir(name))  # noqa: PTH112
            for name, attributes in found.items()
            if all(found.get(os.fspath(above)) != attributes for above in Path(name).parents)
        }
        return cls(kept, dict(link for part in there for link in links_to(part.path)))

    def joined(self, other: Layout) -> Layout:
        """Both; what `other` says of a part holds."""
        return Layout({**self.parts, **other.parts}, {**self.links, **other.links})


class _Found(NamedTuple):
    attributes: int
    is_folder: bool


def enter(layout: Layout, pivot: Path) -> None:
    """Make a root of those parts and go there; `pivot` is any folder, over which it is put together.

    Links on the way to a part are made anew, so that it keeps its name. Raises `OSError`; then no file has moved.
    """
    number = PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(errno.EOPNOTSUPP, "no new root on this machine")
    here = os.getcwd()  # noqa: PTH109  a string for the kernel
    libc.leave(libc.CLONE_NEWNS)
    libc.mount(None, "/", None, MS_REC | MS_PRIVATE)
    with ExitStack() as handles:
        outer_first = sorted(layout.parts.items(), key=lambda part: part[0].count("/"))
        trees = [(name, found.is_folder, _tree(name, found.attributes, handles)) for name, found in outer_first]
        libc.mount("none", str(pivot), "tmpfs", BARE, "mode=755,size=1m")
        with ExitStack() as undo:
            undo.callback(libc.unmount, str(pivot), MNT_DETACH)
            undo.callback(os.chdir, here)
            os.chdir(pivot)
            _furnish(trees, layout.links, here)
            libc.syscall(number, b".", b".")
            undo.pop_all()
    libc.unmount(".", MNT_DETACH)
    os.chdir(here)


def links_to(path: Path) -> Iterator[tuple[str, str]]:
    """Every link that is followed on the way to a path, with what stands in it."""
    at, rest = "/", deque(path.absolute().parts[1:])
    while rest:
        step = os.path.normpath(os.path.join(at, rest.popleft()))  # noqa: PTH118  links before it are resolved
        if not os.path.islink(step):  # noqa: PTH114
            at = step
            continue
        target = os.readlink(step)  # noqa: PTH115
        yield step, target
        at = "/" if target.startswith("/") else at
        rest.extendleft(reversed([part for part in target.split("/") if part]))


def _tree(name: str, attributes: int, handles: ExitStack) -> int:
    """A handle to a copy of what is mounted there, with these attributes."""
    tree = libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(name), TREE)
    handles.callback(os.close, tree)
    wanted = _Attributes(attributes, 0, 0, 0)
    size = ctypes.sizeof(wanted)
    libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, ctypes.byref(wanted), size)
    return tree


def _furnish(trees: Iterable[tuple[str, bool, int]], links: dict[str, str], folder: str) -> None:
    """Put everything below the new root, in which we are."""
    for name, is_folder, tree in trees:
        below = f".{name}"
        if not os.path.exists(below):  # noqa: PTH110
            _point(below, is_folder=is_folder)
        libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(below), MOVE_MOUNT_F_EMPTY_PATH)
    for link, target in links.items():
        if not os.path.lexists(f".{link}"):
            _point(f".{os.path.dirname(link)}", is_folder=True)  # noqa: PTH120
            os.symlink(target, f".{link}")  # noqa: PTH211
    _point(f".{folder}", is_folder=True)
    libc.mount(None, ".", None, MS_REMOUNT | MS_RDONLY | BARE)


def _point(below: str, *, is_folder: bool) -> None:
    """Something to mount on."""
    folder = below if is_folder else os.path.dirname(below)  # noqa: PTH120
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    if not is_folder:
        os.close(os.open(below, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
