"""Records and folders move together, also when the process is killed between any two steps."""

import contextlib
import os
from datetime import timedelta

import pytest

from coverslip.archive import kept, tidying
from coverslip.archive.records import Refused
from coverslip.archive.states import State
from coverslip.archive.storage import Zone
from coverslip.errors import LeaseLost


class Killed(BaseException):
    """Stands for a process that ends here: nothing catches it."""


@pytest.fixture
def reviewed(archive, fill, produced):
    """A slide in review."""
    sid, job = fill(archive.catalog).slide()
    claim = archive.catalog.claim(job, "a")
    with archive.storage.scratch(sid, claim.artefact) as draft:
        (draft / "slide.svs").write_bytes(b"clean")
        archive.publish(claim, draft, produced)
    return sid


def lies_in(archive, sid):
    """The zones where a slide has a folder."""
    return {zone for zone in (Zone.REVIEW, Zone.RELEASED) if sid in archive.storage.slides_in(zone)}


def kill_at(monkeypatch, step):
    """End at the nth rename, fsync or commit from now on; returns what was counted."""
    from sqlalchemy.orm import SessionTransaction

    counted = []

    def watched(original):
        def call(*arguments, **options):
            counted.append(original)
            if len(counted) == step:
                raise Killed
            return original(*arguments, **options)

        return call

    monkeypatch.setattr(os, "fsync", watched(os.fsync))
    monkeypatch.setattr(os, "rename", watched(os.rename))
    monkeypatch.setattr(SessionTransaction, "commit", watched(SessionTransaction.commit))
    return counted


@pytest.mark.parametrize("step", range(1, 9))
def test_a_release_killed_anywhere_is_all_or_nothing(archive, reviewed, monkeypatch, step):
    """After the next tidying, what the record says and where the folder lies agree, and it lies in one place."""
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        try:
            archive.transition(reviewed, State.RELEASED, "curator")
        except Killed:
            if archive.catalog.slide(reviewed).state is not State.RELEASED:
                assert lies_in(archive, reviewed) == {Zone.REVIEW}, "never public before the record says so"
    tidying.reconcile(archive)
    slide = archive.catalog.slide(reviewed)
    assert lies_in(archive, reviewed) == {Zone.RELEASED if slide.state is State.RELEASED else Zone.REVIEW}
    assert (archive.where_is(slide) / "slide.svs").read_bytes() == b"clean"


@pytest.mark.parametrize("step", range(1, 9))
def test_a_withdrawal_killed_anywhere_is_all_or_nothing(archive, reviewed, monkeypatch, step):
    """Once the record says withdrawn, nothing of it is public, with no tidying needed."""
    archive.transition(reviewed, State.RELEASED, "curator")
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        try:
            archive.transition(reviewed, State.WITHDRAWN, "curator")
        except Killed:
            if archive.catalog.slide(reviewed).state is State.WITHDRAWN:
                assert lies_in(archive, reviewed) == {Zone.REVIEW}
    tidying.reconcile(archive)
    slide = archive.catalog.slide(reviewed)
    assert lies_in(archive, reviewed) == {Zone.RELEASED if slide.state is State.RELEASED else Zone.REVIEW}


def test_a_slide_withdrawn_while_it_is_released_is_not_public(archive, reviewed, monkeypatch):
    """Two people, one moment: who releases has the record's word when the other one withdraws it."""
    transition = archive.catalog.transition

    def then_somebody_withdraws(*arguments, **options):
        moved = transition(*arguments, **options)
        with monkeypatch.context() as patch:
            patch.setattr(archive.catalog, "transition", transition)
            archive.transition(reviewed, State.WITHDRAWN, "another")
        return moved

    monkeypatch.setattr(archive.catalog, "transition", then_somebody_withdraws)
    archive.transition(reviewed, State.RELEASED, "curator")
    assert lies_in(archive, reviewed) == {Zone.REVIEW}


@pytest.mark.parametrize("step", range(1, 12))
def test_a_publication_killed_anywhere_leaves_no_half_slide(archive, fill, produced, clock, monkeypatch, step):
    """Either in review and whole, or to be done again; the next attempt always succeeds."""
    sid, job = fill(archive.catalog).slide()

    def attempt():
        claim = archive.catalog.claim(job, "a")
        if claim is None:
            return
        with archive.storage.scratch(sid, claim.artefact) as draft:
            (draft / "slide.svs").write_bytes(b"clean")
            archive.publish(claim, draft, produced)

    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with contextlib.suppress(Killed):
            attempt()
    clock.now += timedelta(seconds=61)
    attempt()
    slide = archive.catalog.slide(sid)
    assert slide.state is State.IN_REVIEW
    assert (archive.where_is(slide) / "slide.svs").read_bytes() == b"clean"
    assert [event.after for event in archive.catalog.events(sid)].count("in_review") == 1
    tidying.discard_orphans(archive)
    assert archive.storage.artefacts_in(Zone.REVIEW) == ((sid, slide.artefact),)


def test_an_attempt_between_name_and_record_is_no_orphan(archive, fill, produced):
    """Tidying beside a worker that publishes deletes nothing."""
    sid, job = fill(archive.catalog).slide()
    claim = archive.catalog.claim(job, "a")
    with archive.storage.scratch(sid, claim.artefact) as draft:
        archive.storage.publish(draft, sid, claim.artefact)
        assert tidying.discard_orphans(archive) == 0
        archive.catalog.finish(claim, produced)
    assert tidying.discard_orphans(archive) == 0
    (archive.storage.zone(Zone.REVIEW) / sid / "art-1").mkdir(parents=True)
    assert tidying.discard_orphans(archive) == 1


def test_a_verified_draft_given_back_while_somebody_tidies_stays(archive, fill, produced, monkeypatch):
    """Between two questions an attempt may write down what it has and end: the next one goes on with it."""
    catalog = archive.catalog
    sid, job = fill(catalog).slide()
    claim = catalog.claim(job, "a")
    given_back = []

    def first(answer):
        def answered(*asked):
            found = answer(*asked)
            if not given_back:
                given_back.append(catalog.verified(claim, produced))
                catalog.release(claim)
            return found

        return answered

    with archive.storage.scratch(sid, claim.artefact) as draft:
        (draft / "slide.svs").write_bytes(b"clean")
        kept.keep(draft)
    for question in ("is_running", "kept_draft"):
        monkeypatch.setattr(catalog, question, first(getattr(catalog, question)))
    assert tidying.discard_drafts(archive) == 0
    assert given_back
    assert archive.storage.drafts() != ()


def test_a_zombie_takes_its_folder_back(archive, fill, produced, clock):
    """It wakes up past its lease with a finished draft: refused, and nothing of it stays."""
    sid, job = fill(archive.catalog).slide()
    zombie = archive.catalog.claim(job, "a")
    with archive.storage.scratch(sid, zombie.artefact) as draft:
        (draft / "slide.svs").write_bytes(b"late")
        clock.wait(seconds=61)
        living = archive.catalog.claim(job, "b")
        with pytest.raises(LeaseLost):
            archive.publish(zombie, draft, produced)
    assert archive.storage.artefacts_in(Zone.REVIEW) == ()
    with archive.storage.scratch(sid, living.artefact) as draft:
        archive.publish(living, draft, produced)
    assert archive.storage.artefacts_in(Zone.REVIEW) == ((sid, living.artefact),)


def test_a_zombie_leaves_no_findings(archive, fill, produced, clock):
    """Neither in the place of the newer attempt's, nor where a purge had deleted them."""
    sid, job = fill(archive.catalog).slide()
    zombie = archive.catalog.claim(job, "a")
    clock.wait(seconds=61)
    archive.catalog.finish(archive.catalog.claim(job, "b"), produced)
    archive.purge(sid, "curator")
    with archive.storage.scratch(sid, zombie.artefact) as draft:
        (draft / "slide.findings.json").write_text("{}")
        with pytest.raises(LeaseLost):
            archive.set_aside(zombie, Refused("damaged-slide"), draft / "slide.findings.json")
    assert list(archive.storage.zone(Zone.QUARANTINE).iterdir()) == []


def test_an_original_from_before_encryption_is_locked_away_at_last(archive, fill):
    """Killed between the verdict and the move: whoever tidies moves it, and nothing of a slide that goes on."""
    lying, locked = archive.storage.zone(Zone.INCOMING), archive.storage.zone(Zone.QUARANTINE)
    refused, queued = (fill(archive.catalog).slide() for _ in range(2))
    uids = [archive.catalog.slide(sid).uid for sid, _ in (refused, queued)]
    for uid in (*uids, fill(archive.catalog).upload()[0], "nobodys"):
        (lying / uid).write_bytes(b"plain")
    archive.catalog.finish(archive.catalog.claim(refused[1], "a"), Refused("damaged-slide"))
    assert [tidying.reconcile(archive) for _ in range(2)] == [1, 0]
    assert (locked / uids[0]).read_bytes() == b"plain"
    assert len(list(lying.iterdir())) == 3
