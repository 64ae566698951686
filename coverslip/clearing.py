"""Folders deleted with all below them, whatever was made in them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def clear(folder: Path) -> None:
    """Delete a folder and all below it, however deep; raises `OSError`.

    Deeper folders are moved up instead of gone into: a hostile child can nest them beyond any name's length and beyond
    what a function that calls itself, such as `shutil.rmtree`, comes back from.
    """
    root = os.open(folder, _FOLDER)
    try:
        while inner := _without_files(root):
            for name in inner:
                _opened_up(root, name)
                _flattened(root, name)
    finally:
        os.close(root)
    folder.rmdir()


def _without_files(root: int) -> list[str]:
    """Delete the files of a folder; names of the folders in it."""
    inner = []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inner.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=root)
    return inner


def _flattened(root: int, name: str) -> None:
    """Delete a folder; those in it move up to the root, under names nobody has."""
    handle = os.open(name, _FOLDER, dir_fd=root)
    try:
        for inner in _without_files(handle):
            _opened_up(handle, inner)
            os.rename(inner, secrets.token_hex(16), src_dir_fd=handle, dst_dir_fd=root)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=root)


def _opened_up(parent: int, name: str) -> None:
    """Let us look into a folder, where we may not yet: a confined child changes no modes, nor needs to."""
    if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)
