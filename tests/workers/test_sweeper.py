"""What got lost is found, once, by whoever has the duty."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from coverslip.archive import tidying
from coverslip.archive.kinds import JobKind
from coverslip.archive.states import State
from coverslip.errors import OriginalPurged, StateConflict
from workers.process import process
from workers.programs import Program
from workers.run import Keeper
from workers.sweeper import Broker, BrokerAway, sweep, tidy


class Collected:
    """A broker that remembers, or is away."""

    def __init__(self, waiting=0, away=False):
        self.sent, self._waiting, self._away = [], waiting, away

    def broker(self):
        return Broker(self._send, lambda kind: self._waiting)

    def _send(self, kind, job):
        if self._away:
            raise BrokerAway
        self.sent.append((kind, job))


@pytest.fixture
def installation(install):
    """Nothing becomes old by itself here: the tests turn the clock."""
    return install(sweep_every=timedelta(minutes=5))


@pytest.fixture
def later(installation):
    """Turns the catalogue's clock."""

    def turn(**time):
        moment = datetime.now(UTC) + timedelta(**time)
        installation.archive.catalog._now = lambda: moment

    return turn


@pytest.fixture
def sweep_with(installation):
    """One round with a broker of ours."""

    def once(broker, holder="a", backlog=100):
        settings = installation.settings.model_copy(update={"hint_backlog": backlog})
        return sweep(installation.archive, broker.broker(), settings, holder)

    return once


def test_a_queued_slide_is_hinted(installation, sweep_with):
    """Not while the broker holds a hint for it, and at once when that one got lost."""
    _, job = installation.add_slide()
    broker = Collected()
    assert sweep_with(broker) == 1
    assert broker.sent == [(JobKind.DEIDENTIFY, job)]
    assert [sweep_with(Collected(waiting=1)), sweep_with(broker)] == [0, 1]


def test_a_full_broker_is_not_filled_further(installation, sweep_with):
    """A backlog is enough to keep every worker busy: which work it stands for is asked when it is taken."""
    for _ in range(5):
        installation.add_slide()
    assert sweep_with(Collected(waiting=3), backlog=4) == 1
    assert sweep_with(Collected(waiting=4), backlog=4) == 0


def test_a_broker_that_is_away_costs_nothing(installation, sweep_with):
    """The row stays unhinted, so the next round tries again."""
    installation.add_slide()
    assert sweep_with(Collected(away=True)) == 0
    assert sweep_with(Collected()) == 1


def test_one_process_sweeps(installation, sweep_with, later):
    """A second one stands by, and takes over from one that is gone."""
    installation.add_slide()
    broker = Collected()
    assert sweep_with(broker, "a") == 1
    assert sweep_with(broker, "b") == 0
    assert sweep_with(broker, "a") == 1
    later(minutes=24)
    assert sweep_with(broker, "b") == 0
    later(minutes=26)
    assert sweep_with(broker, "b") == 1


def test_tidying_removes_drafts_of_the_dead_only(installation):
    """A running attempt's draft stays."""
    sid, job = installation.add_slide()
    claim = installation.archive.catalog.claim(job, "worker-a@test")
    tmp = installation.settings.data_dir / "tmp"
    (tmp / f"{sid}.{claim.artefact}").mkdir()
    (tmp / f"{sid}.0000-7").mkdir()
    tidy(installation.archive)
    assert [path.name for path in tmp.iterdir()] == [f"{sid}.{claim.artefact}"]


def test_tidying_finishes_a_release_a_crash_interrupted(installation, station):
    """Record first, folder second: a crash in between leaves the slide invisible, never half public."""
    sid, job = installation.add_slide()
    process(job, station())
    installation.archive.catalog.transition(sid, State.RELEASED, "curator")
    assert not (installation.settings.data_dir / "released" / sid).exists()
    tidy(installation.archive)
    assert installation.archive.where_is(installation.slide(sid)).is_dir()
    assert not (installation.settings.data_dir / "review" / sid).exists()


def test_tidying_ends_expired_uploads(installation):
    """Row and bytes go together."""
    catalog, storage = installation.archive.catalog, installation.archive.storage
    upload = catalog.create_upload("owner", 5, datetime.now(UTC) - timedelta(seconds=1), "x", {})
    storage.incoming(upload.uid).write_bytes(b"abc")
    tidy(installation.archive)
    assert catalog.upload(upload.uid).state == "terminated"
    assert not storage.incoming(upload.uid).exists()


def test_what_cannot_be_tidied_keeps_nobody_else_waiting(install, station, capsys):
    """A file that will not go, in the first step of all and in its own: what is overdue behind it goes all the same."""
    installation = install(keep_originals=timedelta(0))
    catalog, storage = installation.archive.catalog, installation.archive.storage
    kept, _ = installation.add_slide()
    sid, job = installation.add_slide()
    process(job, replace(station(), archive=installation.archive, settings=installation.settings))
    catalog.transition(sid, State.REJECTED, "curator")
    uids = sorted(
        catalog.create_upload("owner", 5, datetime.now(UTC) - timedelta(seconds=1), "x", {}).uid for _ in range(2)
    )
    for uid in uids:
        storage.incoming(uid).write_bytes(b"abc")
    storage.incoming(uids[0]).unlink()
    storage.incoming(uids[0]).mkdir()  # no unlink takes that
    tidy(installation.archive)
    assert not storage.incoming(uids[1]).exists()
    with pytest.raises(OriginalPurged):
        catalog.sealed(installation.slide(sid).uid)
    assert catalog.sealed(installation.slide(kept).uid) is not None
    assert capsys.readouterr().out.count("not all tidied") == 2
    storage.incoming(uids[0]).rmdir()
    tidy(installation.archive)
    assert "not all tidied" not in capsys.readouterr().out
    assert catalog.upload(uids[0]).state == "terminated"


@pytest.mark.parametrize("wrong", [StateConflict, ValueError])
def test_no_error_ends_who_looks_after_a_worker(installation, monkeypatch, capsys, wrong):
    """A round that fails is said and the next one comes; in tidying, the other steps of the same round are done."""
    catalog, storage = installation.archive.catalog, installation.archive.storage
    upload = catalog.create_upload("owner", 5, datetime.now(UTC) - timedelta(seconds=1), "x", {})
    storage.incoming(upload.uid).write_bytes(b"abc")

    def refuse(*_):
        raise wrong

    rounds = iter((False, False, True))
    monkeypatch.setattr(tidying, "reconcile", refuse)
    with monkeypatch.context() as broken:
        broken.setattr("workers.run.sweep", refuse)
        keeper = Keeper(installation.settings, installation.archive, "worker-a@test", SimpleNamespace(pid=1))
        keeper.keep(SimpleNamespace(wait=lambda seconds: next(rounds)))
    assert capsys.readouterr().out.count("round failed") == 2
    tidy(installation.archive)
    assert catalog.upload(upload.uid).state == "terminated"


def test_a_worker_that_cannot_be_started_again_is_started_when_it_can(installation, monkeypatch, capsys):
    """A machine that has no process for it at one moment has one at another; nobody has to start us again."""
    started = []

    def start(program):
        started.append(program)
        if len(started) == 1:
            raise BlockingIOError

    monkeypatch.setattr(Program, "start", start)
    keeper = Keeper(installation.settings, installation.archive, "worker-a@test", Program(["x"], grace=1))
    rounds = iter((False, False, True))
    keeper.keep(SimpleNamespace(wait=lambda seconds: next(rounds)))
    assert len(started) == 2
    assert capsys.readouterr().out.count("child-not-started") == 1
