"""What encryption of originals costs: `python -m benchmarks.originals`; megabytes per second of CPU, as for plain."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from coverslip.archive.folder_store import FolderStore
from coverslip.archive.frames import Opened
from coverslip.archive.originals import Originals

SEEKS = 2000
SEEK_BYTES = 256 << 10
"""About what a reader takes at once: a directory, a row of tiles."""
ROUNDS = 3


def main() -> None:
    """Seal, open from the front, open here and there; the plain file beside it, all of it in the page cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=512)
    size = parser.parse_args().megabytes << 20
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as where:
        plain = Path(where) / "plain"
        plain.write_bytes(random.Random(1).randbytes(1 << 20) * (size >> 20))
        originals = Originals(FolderStore(Path(where) / "store"), bytes(32))
        began = time.process_time()
        sealed = originals.seal("uid", plain, str)
        print(f"hash, encrypt, write, fsync  {_rate(size, time.process_time() - began)}")
        compare("read from the front", size, lambda: _whole(plain), lambda: _pieces(originals.open("uid", sealed)))
        places = [random.Random(2).randrange(size - SEEK_BYTES) for _ in range(SEEKS)]
        opened = originals.open("uid", sealed)
        compare(
            f"read {SEEK_BYTES >> 10} KiB at a time, anywhere",
            SEEKS * SEEK_BYTES,
            lambda: _seek(plain, places),
            lambda: [opened.read(SEEK_BYTES, place) for place in places],
        )


def compare(what: str, size: int, plain: Callable[[], object], encrypted: Callable[[], object]) -> None:
    """Print the best of some rounds of each."""
    one, other = _best(plain), _best(encrypted)
    print(f"{what:28} {_rate(size, other)}, plain {_rate(size, one)}")


def _best(act: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return min(times)


def _rate(size: int, seconds: float) -> str:
    return f"{size / seconds / 1e6:.0f} MB/s"


def _whole(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def _pieces(opened: Opened) -> None:
    for _ in opened.pieces():
        pass


def _seek(path: Path, places: list[int]) -> None:
    handle = os.open(path, os.O_RDONLY)
    for place in places:
        os.pread(handle, SEEK_BYTES, place)
    os.close(handle)


if __name__ == "__main__":
    main()
