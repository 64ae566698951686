"""The protocols that touch rows and files, run in a process that ends, without a word, before its nth step.

A step is whatever changes the disk, the database or the bucket: a write, an fsync, a rename, a delete, a commit, a
request. `CRASH_AT=n` in SQLite's manner: the tests loop over all n until a run comes through.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.client import BaseClient
from sqlalchemy.orm import SessionTransaction

from coverslip.archive import bucket_arrivals
from coverslip.archive.archive import Archive
from coverslip.archive.frames import FRAME
from coverslip.archive.records import Claim, Produced, SetAside
from coverslip.archive.states import State
from coverslip.errors import OriginalPurged
from coverslip.settings import Settings
from service.receiving import receive

DATA = bytes(range(256)) * 8192
SHA256 = hashlib.sha256(DATA).hexdigest()
SMALL_PART = 8 * FRAME
CRASHED = 99
REACHED_END = 0
ATTEMPT_OVER = timedelta(seconds=61)


def open_archive(folder: Path, *, late: bool = False, bucket: Mapping[str, str] | None = None) -> Archive:
    """The installation as the next process finds it; `late` means after every lease has run out.

    `bucket`: settings of a bucket; parts of uploads are small then.
    """
    if bucket:
        bucket_arrivals.PART = SMALL_PART  # type: ignore[misc]
    archive = Archive.open(Settings(data_dir=folder, **(bucket or {})), with_vault=True)
    if late:
        archive.catalog._now = lambda: datetime.now(UTC) + ATTEMPT_OVER
    return archive


def crash_at(step: int) -> None:
    """End this process before the nth step from now on."""
    count = 0

    def watched(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == step:
                os._exit(CRASHED)
            return original(*arguments, **options)

        return call

    for name in ("fsync", "rename", "unlink", "rmdir", "mkdir", "pwrite", "link"):
        setattr(os, name, watched(getattr(os, name)))
    shutil.rmtree = watched(shutil.rmtree)  # type: ignore[assignment]
    asked, request = BaseClient._make_api_call, watched(BaseClient._make_api_call)
    BaseClient._make_api_call = lambda client, name, *rest: (  # type: ignore[method-assign]
        asked(client, name, *rest) if name.startswith(("Head", "List")) else request(client, name, *rest)
    )
    SessionTransaction.commit = watched(SessionTransaction.commit)  # type: ignore[method-assign]


def perform(
    protocol: str, folder: Path, step: int, late: bool = False, bucket: Mapping[str, str] | None = None
) -> None:
    """Do one protocol from where it stands, crashing at a step; step 0 never crashes."""
    archive = open_archive(folder, late=late, bucket=bucket)
    crash_at(step)
    PROTOCOLS[protocol](archive)
    archive.close()
    os._exit(REACHED_END)


def upload(archive: Archive) -> None:
    """Receive what is missing of the only upload, and finish it."""
    _receive(archive, len(DATA))
    for found in archive.catalog.open_uploads("owner"):
        archive.finish_upload(found, "strict", "default", _is_data)


def half(archive: Archive) -> None:
    """Receive some of it: with a bucket that is a part and a piece."""
    _receive(archive, SMALL_PART + SMALL_PART // 2 + 77)


def halves(archive: Archive) -> None:
    """Receive and finish it in two requests."""
    half(archive)
    upload(archive)


def _receive(archive: Archive, stop: int) -> None:
    """One request, up to an offset."""
    for found in archive.catalog.open_uploads("owner"):
        target, begin = archive.writer(found, archive.begin_patch(found.uid)), found.offset

        async def pieces(begin: int = begin) -> AsyncIterator[bytes]:
            for at in range(begin, stop, 1 << 19):
                yield DATA[at : min(at + (1 << 19), stop)]

        asyncio.run(receive(pieces(), target, len(DATA)))
        target.close()


def _is_data(sha256: str) -> None:
    assert sha256 == SHA256


def terminate(archive: Archive) -> None:
    """End the only upload, which has bytes."""
    for found in archive.catalog.open_uploads("owner"):
        archive.terminate_upload(found.uid, "owner")


def publish(archive: Archive) -> None:
    """One attempt at the only slide."""
    claim = _claim(archive)
    if claim is not None:
        with archive.storage.scratch(claim.sid, claim.artefact) as draft:
            with archive.plain_original(claim, lambda: None) as source:
                shutil.copyfile(source, draft / "slide.svs")
            archive.publish(claim, draft, PRODUCED)


def pyramid(archive: Archive) -> None:
    """One attempt at the complete pyramid of the only slide."""
    for slide in archive.catalog.slides([State.IN_REVIEW]).slides:
        if slide.index_name is None and (claim := _claim(archive)) is not None:
            with archive.storage.scratch(claim.sid, claim.artefact) as draft:
                with archive.clean_here(claim, slide, lambda: None) as clean:
                    shutil.copyfile(clean, draft / "slide.pyramid")
                archive.complete_pyramid(claim, draft)


def set_aside(archive: Archive) -> None:
    """One attempt at the only slide, which ends in quarantine."""
    claim = _claim(archive)
    if claim is not None:
        with archive.storage.scratch(claim.sid, claim.artefact) as draft:
            (draft / "slide.findings.json").write_text("{}")
            archive.set_aside(claim, SetAside("unknown-structure", "ifd[3]"), draft / "slide.findings.json")


def release(archive: Archive) -> None:
    """A curator releases the only slide."""
    _move(archive, State.IN_REVIEW, State.RELEASED)


def withdraw(archive: Archive) -> None:
    """A curator withdraws the only slide."""
    _move(archive, State.RELEASED, State.WITHDRAWN)


def purge(archive: Archive) -> None:
    """Somebody asks for the only slide's original to be forgotten."""
    for slide in archive.catalog.slides([State.RELEASED]).slides:
        with suppress(OriginalPurged):
            archive.purge(slide.sid, "curator")


def erase(archive: Archive) -> None:
    """The same of a slide that is over."""
    for slide in archive.catalog.slides([State.WITHDRAWN]).slides:
        with suppress(OriginalPurged):
            archive.purge(slide.sid, "curator")


def _move(archive: Archive, before: State, to: State) -> None:
    for slide in archive.catalog.slides([before]).slides:
        archive.transition(slide.sid, to, "curator")


def _claim(archive: Archive) -> Claim | None:
    (slide,) = archive.catalog.slides().slides
    return archive.catalog.claim(archive.catalog.jobs(slide.sid)[-1].id, "worker")


PROTOCOLS: dict[str, Callable[[Archive], None]] = {
    each.__name__: each
    for each in (upload, half, halves, terminate, publish, pyramid, set_aside, release, withdraw, purge, erase)
}

PRODUCED = Produced(
    clean_name="slide.svs",
    sha256=SHA256,
    size_bytes=len(DATA),
    vendor="aperio",
    route="same-container",
    width=2220,
    height=2967,
    levels=1,
    tile_size=240,
    mpp_x=0.5,
    mpp_y=0.5,
    magnification=20.0,
    removed=9,
    kept=8,
    replaced=1,
)
