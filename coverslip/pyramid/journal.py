"""What a build under way has finished, as a file beside it that can be believed as far as its checksums hold.

head        magic, format, fingerprint of what is being built, their SHA-256
checkpoint  length, body, SHA-256 of the checksum before and the body; again and again

A checkpoint is appended in one piece. A kill or a power cut tears the last one, or leaves it without the derived tiles
it speaks of; the first is told by its checksum, the second by the digest of those tiles.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from coverslip.pyramid.partial import storage_errors
from coverslip.pyramid.pixels import Pixels

MAGIC: Final = b"CVSLJRN\n"
FORMAT: Final = 2
"""Another one when checkpoints are written otherwise, or when a build works through other units."""
PLACED: Final = np.dtype([("number", "<u8"), ("offset", "<u8"), ("length", "<u4")])
"""An entry's number, and where its tile lies in the part."""

_HEAD: Final = struct.Struct("<8sI32s")
_LENGTH: Final = struct.Struct("<I")
_BODY: Final = struct.Struct("<QII32s")
_SHAPE: Final = struct.Struct("<HHH")
_SUM: Final = hashlib.sha256().digest_size
_HEAD_BYTES: Final = _HEAD.size + _SUM


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was done between the checkpoint before and this one."""

    units: int
    """Finished since the build began."""
    digest: bytes
    """SHA-256 over the SHA-256 of every derived tile since the build began, in file order."""
    placed: npt.NDArray[np.void] = field(repr=False)
    """Derived tiles in the order they came, as `PLACED`."""
    tops: tuple[Pixels, ...] = field(repr=False)
    """Half-size pixels of finished blocks that tiles above them are made of, in order."""

    def pack(self) -> bytes:
        """The body."""
        tops = b"".join(_SHAPE.pack(*top.shape) + top.tobytes() for top in self.tops)
        return _BODY.pack(self.units, len(self.placed), len(self.tops), self.digest) + self.placed.tobytes() + tops


class Journal:
    """Appends checkpoints to a file that appears with the first of them."""

    def __init__(self, path: Path) -> None:
        """Nothing is written yet."""
        self._path = path
        self._file: BinaryIO | None = None
        self._chain = b""
        self._sealed = False

    def append(self, checkpoint: Checkpoint, fingerprint: bytes | None) -> None:
        """Write one, all at once; the kernel has it then, though not yet the disk. Raises StorageFailed.

        Without a fingerprint the file is of no use to anybody until one comes.
        """
        body = checkpoint.pack()
        checksum = hashlib.sha256(self._chain + body).digest()
        with storage_errors():
            file = self._opened()
            _write(file, _LENGTH.pack(len(body)) + body + checksum)
            self._chain = checksum
            if fingerprint and not self._sealed:
                os.pwrite(file.fileno(), _head(fingerprint), 0)
                self._sealed = True

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self._path.open("xb", buffering=0)
            _write(self._file, bytes(_HEAD_BYTES))
        return self._file


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _head(fingerprint: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, FORMAT, fingerprint)
    return head + hashlib.sha256(head).digest()


def checkpoints(path: Path, fingerprint: bytes) -> Iterator[Checkpoint]:
    """The checkpoints of a journal up to the first that is torn; none when it is about anything else.

    Raises StorageFailed when the file cannot be read.
    """
    with storage_errors(), path.open("rb") as file:
        left, chain = os.fstat(file.fileno()).st_size - _HEAD_BYTES, b""
        if file.read(_HEAD_BYTES) != _head(fingerprint):
            return
        while left >= _LENGTH.size + _SUM:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            left -= _LENGTH.size + length + _SUM
            if left < 0:
                return
            untrusted = file.read(length)
            chain = hashlib.sha256(chain + untrusted).digest()
            if file.read(_SUM) != chain:
                return
            try:
                found = _parse(untrusted)
            except (struct.error, ValueError):  # a checksum is no signature
                return
            yield found


def _parse(body: bytes) -> Checkpoint:
    """A body whose checksum holds. Raises ValueError or struct.error when it does not parse all the same."""
    units, placed, tops, digest = _BODY.unpack_from(body)
    at = _BODY.size + placed * PLACED.itemsize
    found = []
    for _ in range(tops):
        shape = _SHAPE.unpack_from(body, at)
        at += _SHAPE.size
        found.append(np.frombuffer(body, np.uint8, int(np.prod(shape)), at).reshape(shape))
        at += found[-1].size
    return Checkpoint(units, digest, np.frombuffer(body, PLACED, placed, _BODY.size), tuple(found))
