"""The command line stops, prefers, pauses and replays work, and says no when it cannot."""

import sys

import pytest

from coverslip.archive.states import State
from workers import command


@pytest.fixture
def say(installation, monkeypatch, capsys):
    """Runs `python -m workers …` on an installation; its status, lines and complaint."""
    monkeypatch.setattr(command, "Settings", lambda: installation.settings)
    monkeypatch.setattr(command.logs, "configure", lambda level: None)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["workers", *words])
        status = command.main()
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return run


def test_a_job_is_preferred_cancelled_and_replayed(installation, say):
    """Each act shows in the list of what waits and what died."""
    sid, job = installation.add_slide()
    assert say("queue")[1][0].startswith("deidentify: 1 waiting")
    assert say("prefer", job, "first") == (0, ["first"], "")
    assert installation.archive.catalog.job(job).priority == 2
    assert say("cancel", job) == (0, ["cancelled"], "")
    assert say("dead") == (0, [f"{job} {sid} deidentify cancelled"], "")
    assert "dead: cancelled 1" in say("queue")[1]
    assert say("dead", "--code", "child-crashed")[1] == []
    assert say("replay", "--code", "cancelled")[1] == ["replayed: 1"]
    assert installation.slide(sid).state is State.QUEUED


def test_work_is_paused_and_resumed(installation, say):
    """With the same words."""
    assert say("pause")[1] == ["paused: everything"]
    assert say("pause", "--owner", "bulk")[1] == ["paused: owner bulk"]
    assert [line for line in say("queue")[1] if "paused" in line] == ["paused: everything", "paused: owner bulk"]
    say("resume")
    assert say("resume", "--owner", "bulk")[1] == ["resumed: owner bulk"]
    assert installation.archive.catalog.pauses() == ()


def test_no_is_said_with_a_status(say):
    """A job nobody knows, or one that is over, ends with status 1 and a sentence."""
    status, lines, complaint = say("cancel", "nothing")
    assert (status, lines) == (1, [])
    assert complaint


def test_an_original_is_purged(installation, say):
    """With a reason, which the trail keeps; again says when it was; not while the slide waits for its work."""
    sid, job = installation.add_slide()
    assert say("purge", sid, "--reason", "asked to")[0] == 1
    say("cancel", job)
    status, (line,), _ = say("purge", sid, "--reason", "asked to")
    assert (status, line.startswith("purged: 20")) == (0, True)
    assert say("purge", sid, "--reason", "again")[:2] == (0, [line])
    events = [event for event in installation.archive.catalog.events(sid) if event.action == "original-purged"]
    assert [(event.actor, event.reason) for event in events] == [("command line", "asked to")]
    assert say("purge", "nothing", "--reason", "x")[0] == 1
