"""The contract of whatever keeps files by name: a folder, or a bucket. Names are ours, never a client's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from coverslip.errors import NotFound

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}){0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a store."""

    name: str
    size: int
    """Bytes."""
    since: datetime
    """When it got its name, by the store's own clock, in UTC."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of a clean slide, to be read in ranges."""

    size: int
    """Bytes."""
    since: datetime
    """When it got its name."""
    read: Callable[[int, int], bytes]
    """`read(length, offset)`: fewer bytes when the file ends early; raises `NotFound` or `StorageFailed`."""
    path: Path | None = None
    """Where it lies on this machine; None when it does not."""


class Store(Protocol):
    """Whole files under names that never change their content. Every method blocks and raises `StorageFailed`."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep a new file: whole, durable and only then visible; what `chunks` raises leaves nothing visible.

        Raises `OutputExists` when the name is taken, `StorageFull`.
        """

    def size(self, name: str) -> int:
        """Bytes of a file; raises `NotFound`."""

    def read(self, name: str, length: int, offset: int) -> bytes:
        """Part of a file, fewer bytes when it ends early; raises `NotFound`."""

    def names(self, prefix: str = "") -> Iterator[Kept]:
        """Every visible file whose name begins with `prefix`, in no particular order."""

    def remove(self, name: str) -> None:
        """Delete a file, gone for good when this returns; does nothing when it is not there."""

    def abandon(self, before: datetime) -> int:
        """Delete what puts begun before that moment left behind invisibly; returns how many."""


def checked(name: str) -> str:
    """The name if it can be one of ours; anything else never reaches a disk or a bucket. Raises `NotFound`."""
    if not NAME.fullmatch(name):
        raise NotFound
    return name
