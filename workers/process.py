"""One job from claim to verdict: the same few steps whoever calls, and safe to be killed between any two of them."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import assert_never

from coverslip import policy
from coverslip.archive import begun, kept
from coverslip.archive.kinds import JobKind
from coverslip.archive.records import PYRAMID, Claim, Produced, Refused, SetAside
from coverslip.archive.storage import ROOM_FACTOR
from coverslip.archive.vault import load_or_create_key
from coverslip.confined.layers import Limits
from coverslip.confined.messages import Answered, Declined, Doubted, Made, Outcome, Task, Tiled
from coverslip.durable import our_errors
from coverslip.errors import ChildCrashed, PolicyInvalid, StateConflict, StorageFailed
from coverslip.packed import most_unpacked
from coverslip.settings import MIB
from workers import endings, logs
from workers.endings import Unconfirmed
from workers.heartbeat import Heartbeat
from workers.station import Station

TILE = "tile"
OUTPUT_FLOOR = 256 * MIB
"""Even a tiny slide may become this large."""
UNFIT_WAIT = 1.0
"""Seconds a process waits before the next hint while it may begin nothing."""
REPORT = "slide.findings.json"
"""What the pipeline leaves of a slide that did not pass: places and rules, for the curator."""

log = logs.get("workers.process")


def serve(station: Station) -> None:
    """Do job after job, each the one whose turn it is, while there are any and nobody wants us to stop.

    A hint says that there is work, the catalogue says which, and how much: whoever is at work needs no second hint, and
    goes on while the broker is away. On a disk that is full or fails nothing is begun, so that nothing of what waits
    ends because of it; after a job that something of ours kept from being done the next one waits for another hint.
    """
    kinds = station.settings.work.split(",")
    while not station.is_stopping():
        try:
            station.archive.storage.require_fit()
        except StorageFailed as error:
            log.warning("nothing is begun", code=error.code)
            time.sleep(UNFIT_WAIT)
            return
        claim = station.archive.catalog.claim_next(kinds, station.name)
        if claim is None or not _do(claim, station):
            return


def process(job_id: str, station: Station) -> None:
    """Do this very job if it is ours to do."""
    claim = station.archive.catalog.claim(job_id, station.name)
    if claim is not None:
        _do(claim, station)


def _do(claim: Claim, station: Station) -> bool:
    """Every way a job can end is recorded, and nothing is raised for a bad slide; whether it was done or was bad."""
    log.info("claimed", job=claim.job, sid=claim.sid, attempt=claim.attempt, token=claim.token)
    ended = None
    try:
        ended = _attempt(claim, station)
    finally:
        if ended is None:  # told to stop in mid-work: that is nobody's failure
            endings.give_back(claim, station)
    return bool(ended)


def _attempt(claim: Claim, station: Station) -> bool | None:
    """Work until there is an end to record, False for one that is no fault of the slide's; None to give it back."""
    work = _pyramid if claim.kind == JobKind.PYRAMID else _deidentify
    settings = station.settings
    try:
        _require_means(claim, station)
        with (
            station.archive.storage.scratch(claim.sid, claim.artefact) as draft,
            Heartbeat(station.archive.catalog, claim, every=settings.heartbeat, lease=settings.lease) as heart,
        ):
            return work(claim, station, draft, heart) or None
    except Exception as error:  # noqa: BLE001  the outermost edge: each end is written down, or it comes back for ever
        return endings.record(claim, station, error)


def _require_means(claim: Claim, station: Station) -> None:
    """Look, before any work, for what it takes beside the slide: room for what comes of it, and its policy.

    Raises `StorageFull`, `StorageFailed` on a bad disk, and `PolicyInvalid`.
    """
    if claim.kind == JobKind.PYRAMID or claim.facts is not None:  # most of it lies here already
        station.archive.storage.require_fit()
        return
    policy.load(claim.policy)
    station.archive.storage.require_fit(station.archive.catalog.upload(claim.uid).length * ROOM_FACTOR)


def _deidentify(claim: Claim, station: Station, draft: Path, heart: Heartbeat) -> bool:
    """The stages of a slide, from the last one that was finished; False to leave the rest to another worker."""
    made = _taken_up(claim, draft)
    if made is None:
        with station.archive.plain_original(claim, heart.check) as source:
            outcome = _confined(station.work, _task(claim, station, source, draft), station, heart)
        heart.check()
        if not isinstance(outcome, Made):
            return _set_aside(claim, station, draft, outcome)
        made = produced(outcome)
        _check_made(draft, made)
        kept.keep(draft)
        station.archive.catalog.verified(claim, made)
        if station.is_stopping():
            return False
    _tiled(draft / made.clean_name, draft, made.sha256, station, heart, complete=False)
    station.archive.publish(claim, draft, made)
    kept.drop(draft)
    log.info("finished", job=claim.job, sid=claim.sid, status="made")
    return True


def _pyramid(claim: Claim, station: Station, draft: Path, heart: Heartbeat) -> bool:
    """Every tile of a slide that is in review already."""
    slide = station.archive.catalog.slide(claim.sid)
    if slide.sha256 is None:
        raise StateConflict
    with station.archive.clean_here(claim, slide, heart.check) as clean:
        _tiled(clean, draft, slide.sha256, station, heart, complete=True)
    station.archive.complete_pyramid(claim, draft)
    log.info("finished", job=claim.job, sid=claim.sid, status="tiled")
    return True


def _taken_up(claim: Claim, draft: Path) -> Produced | None:
    """What an earlier attempt verified, if its files are here and still the same; the draft is empty otherwise."""
    if claim.verified is None or claim.facts is None or not kept.take_up(claim.verified, draft):
        return None
    try:
        _check_made(draft, claim.facts)
    except ChildCrashed:
        log.warning("kept draft is not what was verified", job=claim.job, sid=claim.sid)
        for path in draft.iterdir():
            path.unlink()
        return None
    return claim.facts


def _set_aside(claim: Claim, station: Station, draft: Path, outcome: Outcome) -> bool:
    match outcome:
        case Doubted(code=code, where=where):
            verdict: SetAside | Refused = SetAside(code, where)
        case Declined(code=code, where=where):
            verdict = Refused(code, where)
        case Made() | Tiled() | Answered():
            raise ChildCrashed("The child said something else than it was asked.")
        case other:
            assert_never(other)
    station.archive.set_aside(claim, verdict, draft / REPORT)
    log.info("finished", job=claim.job, sid=claim.sid, status=type(outcome).__name__.lower(), code=verdict.code)
    return True


def produced(made: Made) -> Produced:
    """What the catalogue keeps of a clean slide: everything the child said but the facts in full."""
    return Produced(**{name: getattr(made, name) for name in Produced.__slots__})


def _task(claim: Claim, station: Station, source: Path, draft: Path) -> Task:
    """What the child is asked: with what the client said about the slide, since none of it may be in the clean one.

    The words go to the child through the socket its other orders come by; they stand in no argument and no log.
    """
    storage = station.archive.storage
    named = station.settings.pseudonym_key_file or storage.secret(f"pseudonyms-{claim.collection}")
    said = station.archive.catalog.unseal(claim.uid, station.name, claim.sid)
    return Task(source, draft, claim.policy, load_or_create_key(named), untrusted_words=said.words())


def _tiled(clean: Path, draft: Path, sha256: str, station: Station, heart: Heartbeat, *, complete: bool) -> None:
    """Write the index of a clean slide into the draft; whoever makes it can write nowhere near the slide itself.

    It is made beside the draft, in a folder that stays when the attempt is cut short: the next one goes on there.
    """
    work, out = f"{station.work.partition(':')[0]}:{TILE}", begun.folder(draft)
    outcome = _confined(work, Task(clean, out, "", b"", sha256, complete), station, heart)
    heart.check()
    made = out / PYRAMID
    if not isinstance(outcome, Tiled) or made.is_symlink() or not made.is_file():
        raise ChildCrashed("The child made no pyramid.")
    with our_errors():
        made.rename(draft / PYRAMID)
    begun.drop(draft)


def _confined(work: str, task: Task, station: Station, heart: Heartbeat) -> Outcome:
    settings, source = station.settings, task.source
    limits = Limits(
        memory=settings.child_memory,
        cpu=settings.child_cpu,
        wall=settings.child_wall,
        output=OUTPUT_FLOOR + int(source.stat().st_size * settings.child_output_ratio) + most_unpacked(source),
    )
    strict = settings.strict_confinement
    try:
        return station.zygote.run(work, task, limits, progress=heart.progress, check=heart.check, strict=strict)
    except (StorageFailed, PolicyInvalid) as said:  # a child may say anything: we look for ourselves
        heart.check()
        station.archive.storage.require_fit()
        raise Unconfirmed(said) from None


def _check_made(draft: Path, made: Produced) -> None:
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
