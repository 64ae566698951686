"""What the catalogue costs when it is full: `python -m benchmarks.queue`; milliseconds by the clock, quiet or not.

    python -m benchmarks.queue --waiting 20000 --done 20000
    python -m benchmarks.queue --database postgresql://…       an empty database; SQLite in a new folder otherwise

Slides of three owners in fifty submissions wait, or lie in review; then each of the calls is made twenty times.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.database import Database
from coverslip.archive.kinds import JobKind
from coverslip.archive.models import JobRow, SlideRow, UploadRow
from coverslip.archive.records import Refused
from coverslip.archive.states import JobState, State
from coverslip.settings import Settings

OWNERS, SUBMISSIONS = 3, 50
ROUNDS = 20
KINDS = tuple(JobKind)


def main() -> None:
    """Fill a catalogue, then ask it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=20_000)
    parser.add_argument("--done", type=int, default=20_000)
    parser.add_argument("--database", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as where:
        settings = Settings(data_dir=Path(where), database_url=asked.database)
        archive = Archive.open(settings, with_vault=True)
        try:
            fill(archive, Database(settings.database), asked.waiting, asked.done)
            for name, call in calls(archive):
                print(f"{name:24} {_median(call):7.1f} ms")
        finally:
            archive.close()


def bring(archive: Archive) -> str:
    """One upload of ten bytes; returns the slide's id."""
    upload = archive.catalog.create_upload("owner 0", 10, datetime.now(UTC) + timedelta(days=1), "x.svs", {})
    writer = archive.writer(upload, archive.begin_patch(upload.uid))
    writer.write(b"0123456789")
    writer.keep(writer.mark())
    writer.close()
    return archive.finish_upload(archive.catalog.upload(upload.uid), "strict", "default", str)


def fill(archive: Archive, database: Database, waiting: int, done: int) -> None:
    """Copies of one slide's rows: as they would be, and in seconds."""
    sid = bring(archive)
    with database.write() as session:
        slide, job = _row(session, SlideRow, sid), _row(session, JobRow, archive.catalog.jobs(sid)[-1].id)
        pattern = slide, job, _row(session, UploadRow, slide["uid"])
        for count, job_state, state in (
            (waiting, JobState.QUEUED, State.QUEUED),
            (done, JobState.DONE, State.IN_REVIEW),
        ):
            if count:
                rows = [_copies(number, pattern, job_state, state) for number in range(count)]
                for table, values in zip((UploadRow, SlideRow, JobRow), zip(*rows, strict=True), strict=True):
                    session.execute(insert(table), list(values))


def _row(session: Session, table: type[Any], key: str) -> dict[str, Any]:
    column = table.__table__.primary_key.columns.values()[0]
    return dict(session.execute(select(table.__table__).where(column == key)).mappings().one())


Rows = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _copies(number: int, pattern: Rows, job_state: JobState, state: State) -> Rows:
    slide, job, upload = pattern
    name = f"{job_state}-{number:07d}"
    created = datetime.now(UTC) - timedelta(days=1) + timedelta(milliseconds=number)
    line = {"owner": f"owner {number % OWNERS}", "submission": f"submission {number % SUBMISSIONS}"}
    artefact = f"{name}-1" if state is State.IN_REVIEW else None
    return (
        upload | {"uid": name},
        slide | line | {"sid": name, "uid": name, "state": state, "created": created, "artefact": artefact},
        job | line | {"id": name, "sid": name, "state": job_state, "created": created, "kind": JobKind.DEIDENTIFY},
    )


def calls(archive: Archive) -> Iterator[tuple[str, Callable[[], object]]]:
    """What workers, front end and sweeper do all the time."""
    catalog = archive.catalog
    held = [claim for _ in range(2 * ROUNDS) if (claim := catalog.claim_next(KINDS, "worker"))]
    yield "claim", lambda: catalog.claim_next(KINDS, "worker")
    yield "heartbeat", lambda: catalog.heartbeat(held[-1], None, 0.5)
    yield "finish", lambda: catalog.finish(held.pop(), Refused("damaged-slide"))
    yield "upload, begin to end", lambda: bring(archive)
    yield "hints", lambda: [catalog.hints_due(kind) for kind in KINDS]
    yield (
        "tidy",
        lambda: tidying.reconcile(archive) + tidying.discard_orphans(archive) + tidying.discard_drafts(archive),
    )
    yield "a page of the list", lambda: catalog.slides(limit=50)


def _median(call: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
