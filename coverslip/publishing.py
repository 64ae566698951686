"""Final names: given when everything is verified and flushed, all or none, and never over something else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coverslip.durable import sync
from coverslip.errors import OutputExists, StorageFailed
from coverslip.rooms import clear


@contextmanager
def workspace(out_dir: Path) -> Iterator[Path]:
    """A hidden folder beside the results, gone afterwards whatever happens."""
    out_dir.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".coverslip-", dir=out_dir))
    try:
        yield work
    finally:
        with suppress(OSError):
            clear(work)


def publish(work: Path, out_dir: Path, files: dict[str, bytes | None]) -> list[Path]:
    """Give verified files their final names: written, flushed, renamed, the folder flushed. Nothing is overwritten.

    Raises OutputExists before anything is renamed, StorageFailed when the disk refuses.
    """
    if any((out_dir / name).exists() for name in files):
        raise OutputExists()
    try:
        for name, data in files.items():
            if data is not None:
                _write_flushed(work / name, data)
        for name in reversed(files):
            (work / name).rename(out_dir / name)
        sync(out_dir)
    except OSError as error:
        raise StorageFailed("the results could not be given their final names") from error
    return [out_dir / name for name in files]


def _write_flushed(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    sync(path)
