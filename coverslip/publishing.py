"""Final names: given when everything is verified and flushed, all or none, and never over something else."""

from __future__ import annotations

from pathlib import Path

from coverslip.durable import sync
from coverslip.errors import OutputExists, StorageFailed
from coverslip.interrupts import Shielded
from coverslip.rooms import about_to_name


def publish(room: Path, out_dir: Path, files: dict[str, bytes | None]) -> list[Path]:
    """Give verified files their final names: written, flushed, renamed, the folder flushed. Nothing is overwritten.

    The slide comes first in `files` and gets its name last; whoever is killed before that has named nothing for the
    next one (`rooms.sweep`). Raises OutputExists before anything is renamed, StorageFailed when the disk refuses.
    """
    for name in files:
        if (out_dir / name).exists():
            raise OutputExists(where=name)
    try:
        for name, data in files.items():
            if data is not None:
                _write_flushed(room / name, data)
        with Shielded():
            about_to_name(room, list(files))
            for name in reversed(files):
                (room / name).rename(out_dir / name)
            sync(out_dir)
    except OSError as error:
        raise StorageFailed("the results could not be given their final names") from error
    return [out_dir / name for name in files]


def _write_flushed(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    sync(path)
