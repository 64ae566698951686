"""One directory of a TIFF file as if it were the first, for a reader that reads every table of whatever comes first."""

from __future__ import annotations

import io
from typing import BinaryIO, Final, Literal

BIGTIFF: Final = 43


class Beginning(io.RawIOBase):
    """A TIFF file whose header points at another directory than its own does.

    tifffile reads the tables of whatever comes first, and of a large slide's base level that is a million numbers.
    Raises OverflowError when the directory lies where a classic header cannot point (TIFF 6.0 §2).
    """

    def __init__(self, file: BinaryIO, directory: int) -> None:
        """Show `file` as if its first directory were the one at `directory`."""
        self._file = file
        self._file.seek(0)
        head = bytearray(file.read(16))
        order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        at, width = (8, 8) if int.from_bytes(head[2:4], order) == BIGTIFF else (4, 4)
        head[at : at + width] = directory.to_bytes(width, order)
        self._head = bytes(head[: at + width])
        self._file.seek(0)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Bytes from here on, the header's as they were changed."""
        view, at = memoryview(buffer).cast("B"), self._file.tell()
        count = self._file.readinto(view)  # type: ignore[attr-defined]
        inside = self._head[at : at + count]
        view[: len(inside)] = inside
        return int(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go somewhere."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where we are."""
        return self._file.tell()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True
