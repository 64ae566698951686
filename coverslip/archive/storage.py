"""The local folder: zones, and the one way anything gets its final name (operations.md, atomic publish)."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from io import RawIOBase
from pathlib import Path

from coverslip.archive import attempts, begun, kept
from coverslip.archive.store import Stored
from coverslip.clearing import clear
from coverslip.durable import is_in_doubt, our_errors, remove, sync
from coverslip.errors import NotFound, OutputExists, StorageFailed, StorageFull

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
PRIVATE = 0o700
OPENED = ".opened"
"""Ends the names of folders beside drafts that hold an original as plain text."""
ROOM_FACTOR = 2.5
"""The opened original, the clean slide and its derived tiles need room; the original itself where it arrives here."""
SCANT_BYTES, SCANT_SHARE = 1 << 30, 0.01
"""A disk with less free, whichever is less, is full: logs, the catalogue and whoever mends it need some."""


class Zone(StrEnum):
    """The folders below `data_dir`; each only for us."""

    INCOMING = "phi/incoming"
    """Uploads while they arrive, by upload id."""
    ORIGINALS = "phi/originals"
    """Originals, encrypted (`coverslip.archive.originals`)."""
    QUARANTINE = "phi/quarantine"
    """Findings of slides that were set aside, and originals that came before originals were encrypted."""
    REVIEW = "review"
    """Clean slides only curators see, as `<sid>/<artefact>/`."""
    RELEASED = "released"
    """Clean slides anybody sees, as `<sid>/<artefact>/`."""
    TMP = "tmp"
    """Work under way; whatever lies here may be deleted when nobody works."""


class Storage:
    """The zones of one `data_dir`, all on one file system so that a rename is atomic."""

    quick_to_list = True
    """Looking at all that is there costs next to nothing."""

    def __init__(self, data_dir: Path) -> None:
        """Make the zones that are missing; raises `StorageFailed`."""
        self.root = data_dir.resolve()
        with our_errors():
            for folder in ("", "phi", *Zone):
                (self.root / folder).mkdir(mode=PRIVATE, parents=True, exist_ok=True)

    def zone(self, zone: Zone) -> Path:
        """The zone's folder."""
        return self.root / zone

    def secret(self, name: str) -> Path:
        """Where a key lies that we keep ourselves."""
        return self.root / "phi" / f"{_checked(name)}.key"

    @property
    def revocations(self) -> Path:
        """Where processes of this installation see that a key was revoked."""
        return self.root / "phi" / "revocations"

    def incoming(self, uid: str) -> Path:
        """Where an upload's bytes lie while they arrive."""
        return self.zone(Zone.INCOMING) / _checked(uid)

    def original(self, uid: str) -> Path:
        """Where an original from before encryption lies, set aside or not; raises `NotFound`."""
        for zone in (Zone.INCOMING, Zone.QUARANTINE):
            path = self.zone(zone) / _checked(uid)
            if path.is_file():
                return path
        raise NotFound("There is no original.", where="phi zone")

    def keep_report(self, uid: str, report: Path | None) -> None:
        """Move the findings of an attempt, if there are any, to the closed zone; a later attempt replaces them."""
        if report is not None and report.is_file():
            with our_errors():
                sync(report)
            self._move(report, self.zone(Zone.QUARANTINE) / f"{_checked(uid)}.json")

    def quarantine(self, uid: str) -> None:
        """Move an original to the closed zone; does nothing when it is there already."""
        self._move(self.zone(Zone.INCOMING) / _checked(uid), self.zone(Zone.QUARANTINE) / uid)

    def make_incoming(self, uid: str) -> None:
        """Make the file an upload's bytes go to; does nothing when it is there."""
        path = self.incoming(uid)
        if path.exists():
            return
        with our_errors():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            sync(path.parent)

    def incoming_uploads(self) -> tuple[str, ...]:
        """Ids of the uploads of which bytes lie in the incoming zone."""
        with our_errors():
            return tuple(entry.name for entry in os.scandir(self.zone(Zone.INCOMING)) if NAME.fullmatch(entry.name))

    def forget_original(self, uid: str) -> None:
        """Delete what lies of an original from before encryption, and the findings about it."""
        for path in (self.incoming(uid), *(self.zone(Zone.QUARANTINE) / name for name in (uid, f"{uid}.json"))):
            with our_errors():
                path.unlink(missing_ok=True)
        for zone in (Zone.INCOMING, Zone.QUARANTINE):
            sync(self.zone(zone))

    def drop_incoming(self, uid: str) -> None:
        """Delete what arrived of an upload that ended; gone for good when this returns."""
        with our_errors():
            self.incoming(uid).unlink(missing_ok=True)
            sync(self.zone(Zone.INCOMING))

    def artefact(self, zone: Zone, sid: str, artefact: str) -> Path:
        """Where a clean slide's files lie in a zone, whether or not they do."""
        return self.zone(zone) / _checked(sid) / _checked(artefact)

    @contextmanager
    def scratch(self, sid: str, artefact: str) -> Iterator[Path]:
        """A new empty folder for one attempt, gone afterwards; what earlier ones at the same job left goes first."""
        draft = self.zone(Zone.TMP) / f"{_checked(sid)}.{_checked(artefact)}"
        with our_errors():
            for leftover in attempts.earlier(draft):
                if leftover.suffix not in (kept.SUFFIX, begun.SUFFIX):  # those go when the record wants them no more
                    remove(leftover)
            draft.mkdir(mode=PRIVATE)
        try:
            yield draft
        finally:
            with our_errors():
                remove(draft)

    @contextmanager
    def opened(self, sid: str, artefact: str, pieces: Iterable[bytes]) -> Iterator[Path]:
        """An original as plain text beside an attempt's scratch folder, for as long as the block runs.

        A crash leaves it behind; it goes with the draft, by the next attempt or by whoever tidies.
        """
        folder = self.zone(Zone.TMP) / f"{_checked(sid)}.{_checked(artefact)}{OPENED}"
        with our_errors():
            folder.mkdir(mode=PRIVATE)
        try:
            # A name no slide can hold: the verifier looks for the source's name in the clean slide.
            path = folder / secrets.token_hex(16)
            with our_errors():
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb", buffering=0) as file:
                for piece in pieces:
                    _write(file, piece)
            yield path
        finally:
            with our_errors():
                remove(folder)

    def drafts(self) -> tuple[tuple[str, str, Path], ...]:
        """(slide, artefact, folder) of every draft and opened original, also of attempts that died."""
        with our_errors():
            folders = [entry for entry in os.scandir(self.zone(Zone.TMP)) if entry.is_dir(follow_symlinks=False)]
        found = [(entry.name.removesuffix(OPENED), Path(entry.path)) for entry in folders]
        return tuple((name.partition(".")[0], name.partition(".")[2], path) for name, path in found)

    def publish(self, draft: Path, sid: str, artefact: str) -> Path:
        """Give a finished draft folder its name in the review zone: files durable first, name second.

        Raises `OutputExists`, `StorageFull` or `StorageFailed`; a failed fsync is never tried again.
        """
        final = self.artefact(Zone.REVIEW, sid, artefact)
        with our_errors():
            for path in sorted(draft.rglob("*")):
                sync(path)
            sync(draft)
            final.parent.mkdir(mode=PRIVATE, exist_ok=True)
            sync(final.parent.parent)
            if final.exists():
                raise OutputExists(where="review zone")
            draft.rename(final)
            sync(final.parent)
            sync(draft.parent)
        return final

    def move_artefact(self, sid: str, artefact: str, *, source: Zone, target: Zone) -> None:
        """Move a clean slide between zones; does nothing when it is not in `source`, e.g. moved before a crash."""
        left = self.artefact(source, sid, artefact)
        if left.exists():
            self._move(left, self.artefact(target, sid, artefact))
        with suppress(OSError):  # other artefacts may still lie there
            left.parent.rmdir()

    def slides_in(self, zone: Zone) -> tuple[str, ...]:
        """Ids of the slides that have a folder in a zone; other files there are none of ours."""
        with our_errors():
            return tuple(entry.name for entry in _folders_in(self.zone(zone)))

    def artefacts_in(self, zone: Zone) -> tuple[tuple[str, str], ...]:
        """(slide, artefact) of every folder in a zone."""
        found: list[tuple[str, str]] = []
        for sid in self.slides_in(zone):
            with our_errors(), suppress(FileNotFoundError):  # moved or deleted just now
                found += [(sid, entry.name) for entry in _folders_in(self.zone(zone) / sid)]
        return tuple(found)

    def file(self, zone: Zone, sid: str, artefact: str, name: str) -> Stored:
        """One file of a clean slide; raises `NotFound` when it does not lie in that zone."""
        if not _FILE.fullmatch(name):
            raise NotFound
        path = self.artefact(zone, sid, artefact) / name
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise NotFound from error

        def read(length: int, offset: int) -> bytes:
            with our_errors(), path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), length, offset)

        return Stored(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), read, path)

    def abandon(self, before: datetime) -> int:
        """Delete clean slides that a crash left half deleted; what a publication leaves behind is a draft."""
        count = 0
        with our_errors():
            for doomed in self.zone(Zone.REVIEW).glob("*/.*"):
                with suppress(FileNotFoundError):  # another process is faster
                    if doomed.is_dir() and doomed.stat().st_ctime < before.timestamp():
                        clear(doomed)
                        count += 1
                with suppress(OSError):  # other artefacts may still lie there
                    doomed.parent.rmdir()
        return count

    def remove_artefact(self, sid: str, artefact: str) -> None:
        """Delete a folder no record points to."""
        folder = self.artefact(Zone.REVIEW, sid, artefact)
        with our_errors():
            remove(folder)
        with suppress(OSError):  # other artefacts may still lie there
            folder.parent.rmdir()

    def discard(self, draft: Path) -> None:
        """Delete a draft folder nobody works in any more."""
        with our_errors():
            remove(draft)

    def require_fit(self, needed: float = 0) -> None:
        """Raise `StorageFull` unless `needed` bytes fit and some stay free, `StorageFailed` where none can be kept.

        None can on a disk that is read-only, as Linux makes one that fails, and after a failed fsync for a while.
        """
        with our_errors():
            found = os.statvfs(self.root)
        if is_in_doubt() or found.f_flag & os.ST_RDONLY:
            raise StorageFailed("The disk keeps nothing at the moment.")
        no_more_files = found.f_files and not found.f_favail  # some file systems do not count them
        if no_more_files or self.free_bytes() < needed + min(SCANT_BYTES, self.total_bytes() * SCANT_SHARE):
            raise StorageFull

    def free_bytes(self) -> int:
        """What the file system still takes."""
        with our_errors():
            return shutil.disk_usage(self.root).free

    def total_bytes(self) -> int:
        """What the file system holds in all."""
        with our_errors():
            return shutil.disk_usage(self.root).total

    def _move(self, source: Path, target: Path) -> None:
        with our_errors():
            target.parent.mkdir(mode=PRIVATE, exist_ok=True)
            try:
                source.rename(target)
            except FileNotFoundError:
                if not target.exists():
                    raise
                return
            sync(target.parent)
            sync(source.parent)


def _folders_in(folder: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in os.scandir(folder) if NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]


def _checked(name: str) -> str:
    """An id as a file name; anything else never reaches the file system."""
    if not NAME.fullmatch(name):
        raise NotFound
    return name


def _write(file: RawIOBase, piece: bytes) -> None:
    view = memoryview(piece)
    with our_errors():
        while view:
            view = view[file.write(view) or 0 :]
