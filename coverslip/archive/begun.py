"""Pyramids on their way, beside the scratch folders, so that the next attempt at a slide goes on where one was killed.

Each attempt has a folder of its own. What earlier ones left it gets as links: a build reads such files, holds them
against their digests and copies what it uses, so an attempt that comes back from the dead reaches nothing of the new
one's.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from coverslip.archive import attempts
from coverslip.durable import our_errors, remove

SUFFIX = ".begun"


def folder(draft: Path) -> Path:
    """A new folder for the pyramid of an attempt, with what earlier attempts at the same job left unfinished.

    `draft` is the attempt's scratch folder. Raises `StorageFailed`.
    """
    own = draft.with_name(draft.name + SUFFIX)
    with our_errors():
        own.mkdir(mode=0o700)
        for theirs in attempts.earlier(draft):
            if theirs.suffix == SUFFIX:
                _link_hidden(theirs, own)
                remove(theirs)
    return own


def drop(draft: Path) -> None:
    """Delete an attempt's folder: its pyramid is made. Raises `StorageFailed`."""
    with our_errors():
        remove(draft.with_name(draft.name + SUFFIX))


def _link_hidden(source: Path, target: Path) -> None:
    """Unfinished files only: a finished pyramid is believed of the child that was just told to make it."""
    for entry in os.scandir(source):
        if entry.name.startswith(".") and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            with suppress(FileExistsError):  # a crash came between linking and deleting
                os.link(entry.path, target / entry.name, follow_symlinks=False)
