"""The contract of whatever keeps files by name: a folder, or a bucket. Names are ours, never a client's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import RawIOBase
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


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file that is sent in parts, as the store acknowledged it."""

    etag: str
    digest: bytes
    """SHA-256 of what was sent."""
    size: int
    """Bytes."""


Spared = Callable[[str, str], bool]
"""Is asked by a file's name, empty where it has none yet, and the token of what was begun."""


def nothing_spared(name: str, token: str) -> bool:
    """Nobody needs what was begun."""
    return False


class Store(Protocol):
    """Whole files under names that never change their content. Every method blocks and raises `StorageFailed`."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Keep a new file: whole, durable and only then visible; what `chunks` raises leaves nothing visible.

        Raises `OutputExists` when the name is taken, `StorageFull`.
        """

    def stat(self, name: str) -> Kept:
        """How long a file is and since when it is there; raises `NotFound`."""

    def read(self, name: str, length: int, offset: int) -> bytes:
        """Part of a file, fewer bytes when it ends early; raises `NotFound`."""

    def names(self, prefix: str = "") -> Iterator[Kept]:
        """Every visible file whose name begins with `prefix`, in no particular order."""

    def remove(self, name: str) -> None:
        """Delete a file, gone for good when this returns; does nothing when it is not there."""

    def abandon(self, before: datetime, but: Spared = nothing_spared) -> int:
        """Delete what puts begun before that moment left behind invisibly, unless spared; returns how many."""


class PartStore(Store, Protocol):
    """A store that takes a file in parts, from whoever knows its token; until it is complete nobody sees any of it."""

    def begin(self, name: str) -> str:
        """Begin a new file; returns a token for the rest. What is begun and never completed is for `abandon`."""

    def send(self, name: str, token: str, number: int, body: RawIOBase) -> Part:
        """Keep part `number`, from 1: durable when this returns. All but the last are equally long.

        Sent again it takes the place of the one before. Raises `NotFound` when the token is of no use any more,
        `StorageFull`.
        """

    def complete(self, name: str, token: str, parts: Sequence[Part]) -> None:
        """Make the file of its parts, in order; does nothing when it was made of them before.

        Raises `NotFound` when there are none, `OriginalDamaged` when they are not those, `OutputExists` when the name
        belongs to something else.
        """

    def abort(self, name: str, token: str) -> None:
        """Forget what was begun and its parts; does nothing when that is over."""

    def replace(self, name: str, body: RawIOBase) -> None:
        """Keep a small file at once, instead of whatever had its name."""


def can_be_ours(name: str) -> bool:
    """Whether a file may have that name; others are somebody else's, or what a server itself is writing."""
    return NAME.fullmatch(name) is not None


def checked(name: str) -> str:
    """The name if it can be one of ours; anything else never reaches a disk or a bucket. Raises `NotFound`."""
    if not can_be_ours(name):
        raise NotFound
    return name
