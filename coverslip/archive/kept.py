"""Verified drafts set aside beside the scratch folders, so that a retry starts behind the verifier.

Links to the same files: nothing is copied, and an attempt that comes back from the dead writes into its own folder.
Whoever takes such files up holds them against the recorded digest first, so they need not survive a power cut.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from pathlib import Path

from coverslip.durable import our_errors

SUFFIX = ".kept"


def keep(draft: Path) -> None:
    """Set a scratch folder's files aside under its own name; raises `StorageFailed`."""
    unfinished = draft.with_name(f"{draft.name}{SUFFIX}-{secrets.token_hex(4)}")
    with our_errors():
        unfinished.mkdir(mode=0o700)
        _link(draft, unfinished)
        unfinished.rename(draft.with_name(draft.name + SUFFIX))


def take_up(artefact: str, draft: Path) -> bool:
    """Put what an earlier attempt at the same slide set aside into a new scratch folder; False when it is gone.

    Raises `StorageFailed`.
    """
    sid = draft.name.partition(".")[0]
    folder = draft.with_name(f"{sid}.{artefact}{SUFFIX}")
    with our_errors():
        if not folder.is_dir():
            return False
        _link(folder, draft)
    return True


def drop(draft: Path) -> None:
    """Delete what attempts at this slide set aside: it has come to its end. Raises `StorageFailed`."""
    sid = draft.name.partition(".")[0]
    with our_errors():
        for folder in draft.parent.glob(f"{sid}.*{SUFFIX}"):
            shutil.rmtree(folder)


def _link(source: Path, target: Path) -> None:
    for entry in os.scandir(source):
        if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            os.link(entry.path, target / entry.name, follow_symlinks=False)
