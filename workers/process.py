"""One job from claim to verdict: the same few steps whoever calls, and safe to be killed between any two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coverslip.archive.archive import Archive
from coverslip.archive.jobs import JobKind
from coverslip.archive.records import Claim
from coverslip.archive.vault import load_or_create_key
from coverslip.confined.layers import Limits
from coverslip.confined.messages import Made, Outcome, Task
from coverslip.confined.supervisor import Zygote
from coverslip.durable import our_errors
from coverslip.errors import ChildCrashed, CoverslipError, LeaseLost
from coverslip.intake import most_unpacked
from coverslip.settings import MIB, Settings
from workers import logs
from workers.heartbeat import Heartbeat

WORK = "workers.work:deidentify"
OUTPUT_FLOOR = 256 * MIB
"""Even a tiny slide may become this large."""
REPORT = "slide.findings.json"
"""What the pipeline leaves of a slide that did not pass: places and rules, for the curator."""

log = logs.get("workers.process")


@dataclass(frozen=True, slots=True)
class Station:
    """What a worker process works with."""

    name: str
    """The worker's name, as the catalogue and the broker know it."""
    archive: Archive
    settings: Settings
    zygote: Zygote
    work: str = WORK
    """`module:function`, called inside the confined child."""


def serve(station: Station) -> None:
    """Do the job whose turn it is, if there is one: a hint says that there is work, the catalogue says which."""
    _do(station.archive.catalog.claim_next(tuple(JobKind), station.name), station)


def process(job_id: str, station: Station) -> None:
    """Do this very job if it is ours to do."""
    _do(station.archive.catalog.claim(job_id, station.name), station)


def _do(claim: Claim | None, station: Station) -> None:
    """Every way a job can end is recorded, and nothing is raised for a bad slide."""
    if claim is None:
        log.info("nothing to do")
        return
    log.info("claimed", job=claim.job, sid=claim.sid, attempt=claim.attempt, token=claim.token)
    ended = False
    try:
        ended = _attempt(claim, station)
    finally:
        if not ended:  # told to stop in mid-work: that is nobody's failure
            log.warning("given back", job=claim.job, sid=claim.sid)
            with _if_still_ours():
                station.archive.catalog.release(claim)


def _attempt(claim: Claim, station: Station) -> bool:
    try:
        with station.archive.storage.scratch(claim.sid, claim.artefact) as draft:
            _work(claim, station, draft)
    except LeaseLost:
        log.warning("lease lost", job=claim.job, sid=claim.sid, token=claim.token)
    except CoverslipError as error:
        log.warning("attempt failed", job=claim.job, sid=claim.sid, code=error.code, where=error.where)
        _fail(claim, station, error.code, error.where)
    except Exception as error:  # noqa: BLE001  the outermost edge: counted as an attempt, or it comes back for ever
        log.error("attempt failed in a way nobody foresaw", job=claim.job, sid=claim.sid, error=type(error).__name__)
        _fail(claim, station, CoverslipError.code)
    return True


def _work(claim: Claim, station: Station, draft: Path) -> None:
    archive, settings = station.archive, station.settings
    with Heartbeat(archive.catalog, claim, every=settings.heartbeat, lease=settings.lease) as heart:
        outcome = _confined(claim, station, draft, heart)
        heart.check()
        if isinstance(outcome, Made):
            _check_made(draft, outcome)
            archive.publish(claim, draft, outcome.verdict())
        else:
            archive.set_aside(claim, outcome.verdict(), draft / REPORT)
    code = "" if isinstance(outcome, Made) else outcome.code
    log.info("finished", job=claim.job, sid=claim.sid, status=outcome.kind, code=code)


def _confined(claim: Claim, station: Station, draft: Path, heart: Heartbeat) -> Outcome:
    storage, settings = station.archive.storage, station.settings
    source = storage.original(claim.uid)
    key = load_or_create_key(settings.pseudonym_key_file or storage.secret(f"pseudonyms-{claim.collection}"))
    limits = Limits(
        memory=settings.child_memory,
        cpu=settings.child_cpu,
        wall=settings.child_wall,
        output=OUTPUT_FLOOR + int(source.stat().st_size * settings.child_output_ratio) + most_unpacked(source),
    )
    task = Task(source, draft, claim.policy, key)
    return station.zygote.run(station.work, task, limits, progress=heart.progress, check=heart.check)


def _check_made(draft: Path, made: Made) -> None:
    """Length and digest on our side of the wall, before anything gets a final name; raises `ChildCrashed`.

    A folder or link would be published with the rest, and may hold what an archive was unpacked to.
    """
    if any(path.is_symlink() or not path.is_file() for path in draft.iterdir()):
        raise ChildCrashed("The child left more than files.", where="draft")
    clean = draft / made.clean_name
    if clean.is_symlink() or not clean.is_file() or clean.stat().st_size != made.size_bytes:
        raise ChildCrashed("The clean slide is not what the child said.", where=made.clean_name)
    with our_errors(), clean.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != made.sha256:
        raise ChildCrashed("The clean slide's digest is not what the child said.", where=made.clean_name)


def _fail(claim: Claim, station: Station, code: str, where: str = "") -> None:
    with _if_still_ours():
        station.archive.catalog.fail(claim, code, where)


@contextmanager
def _if_still_ours() -> Iterator[None]:
    try:
        yield
    except LeaseLost:
        log.info("somebody else has the job")
