"""A process that makes tiles of stored ones that no browser shows, and can do nothing else.

Run as `python -m coverslip.confined.maker FD STRICT`. It reads orders from one inherited socket and answers on it until
the other end closes. Behind its walls there is no file to open, no network and no other process; a tile that takes too
long or too much ends it, and whoever asked starts another.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

from coverslip.confined import calls, layers
from coverslip.confined.layers import Limits, Reach
from coverslip.errors import ConfinementFailed, InputError
from coverslip.pyramid import recipes
from coverslip.pyramid.on_request import Order, Piece, made

ORDER: Final = struct.Struct("<IBBB")
"""The tile's side, channels and quality, and how many pieces follow."""
PIECE: Final = struct.Struct("<4sI")
"""A packed recipe, zeros for none, and how many bytes follow."""
ANSWER: Final = struct.Struct("<BI")
"""1 when all was sound, and how many bytes of a JPEG follow."""
READY: Final = b"\1"
MEMORY: Final = 512 << 20
"""Address space; a third of it is the interpreter's and its libraries'."""
PATIENCE: Final = 5
"""Seconds one tile may take."""
_NO_RECIPE: Final = bytes(4)
_NOTHING: Final = Path(os.devnull)


def packed(order: Order) -> bytes:
    """An order as it goes over the socket."""
    head = ORDER.pack(order.side, order.channels, order.quality, len(order.pieces))
    pieces = (PIECE.pack(piece.recipe or _NO_RECIPE, len(piece.data)) + piece.data for piece in order.pieces)
    return head + b"".join(pieces)


def main(arguments: list[str]) -> int:
    """Build the walls, say so, work until nobody asks any more."""
    handle, strict = int(arguments[0]), arguments[1] == "strict"
    recipes.preload()
    try:
        confine(strict=strict)
    except ConfinementFailed:
        return 1
    os.write(handle, READY)
    while asked := _read(handle, ORDER.size):
        jpeg = _worked(handle, *ORDER.unpack(asked))
        _write(handle, ANSWER.pack(bool(jpeg), len(jpeg)) + jpeg)
    return 0


def confine(*, strict: bool) -> tuple[str, ...]:
    """Build the walls for good and return those that hold. Raises ConfinementFailed."""
    calls.program()  # now: it takes a program to find its library, and a file
    limits = Limits(memory=MEMORY, cpu=timedelta(days=365), wall=timedelta(0), output=0)
    return layers.apply(limits, Reach(_NOTHING, _NOTHING), strict=strict)


def _worked(handle: int, side: int, channels: int, quality: int, count: int) -> bytes:
    """The tile, nothing when a piece is damaged."""
    pieces = tuple(_piece(handle) for _ in range(count))
    signal.alarm(PATIENCE)  # its default ends us, whatever a library is busy with
    try:
        return made(Order(pieces, side, channels, quality))
    except (InputError, MemoryError):
        return b""
    finally:
        signal.alarm(0)


def _piece(handle: int) -> Piece:
    recipe, length = PIECE.unpack(_read(handle, PIECE.size))
    return Piece(b"" if recipe == _NO_RECIPE else recipe, _read(handle, length))


def _read(handle: int, length: int) -> bytes:
    """So many bytes, none at all when the other end is gone."""
    found = bytearray()
    while len(found) < length:
        more = os.read(handle, length - len(found))
        if not more:
            return b""
        found += more
    return bytes(found)


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
