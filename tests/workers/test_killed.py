"""Real workers on a real broker, killed and confused: every slide is finished once."""

import os
import signal
from datetime import timedelta

import psutil
import pytest
import redis

from coverslip.archive.states import State

RECOVERY = 30
"""Seconds beyond the lease in which another worker must have taken over; a quiet machine takes under 10 (target 8)."""


AFTER_LEASE = 10
"""Seconds beyond the lease in which a real slide is done all the same."""
REAL = "aperio/CMU-1-Small-Region.svs"
COPY, SLOW_COPY, HANG = (word + b" an original" * 1000 for word in (b"copy", b"slow_copy", b"hang"))
"""What is done with such a slide."""


@pytest.mark.slow
def test_a_killed_worker_s_slide_is_finished_once_by_the_next(relay, below, alive):
    """kill -9 in mid-slide: no process survives, no half file stays, the next worker takes over in time."""
    installation = relay.installation
    sid, job = installation.add_slide(original=COPY)
    first = relay.next(work="stick")
    installation.until(lambda: installation.slide(sid).stage == "write")
    assert any(name.startswith("tmp/") for name in installation.files()), "there is a half file to lose"
    second = relay.next()
    installation.until(lambda: len(below(second.pid)) >= 3)
    family = {first.pid, *below(first.pid)}
    assert len(family) >= 5, "supervisor, Celery, pool process, zygote and child"
    os.kill(first.pid, signal.SIGKILL)
    installation.until(lambda: not any(alive(pid) for pid in family))
    took = installation.until(lambda: installation.archive.catalog.job(job).token == 2)
    assert took <= installation.settings.lease.total_seconds() + RECOVERY
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    slide = installation.slide(sid)
    assert slide.artefact.endswith("-2")
    assert installation.files() == {
        f"review/{sid}/{slide.artefact}/{name}" for name in ("slide.svs", "slide.pyramid", "slide.certificate.json")
    }
    assert [event.after for event in installation.archive.catalog.events(sid)].count("in_review") == 1


@pytest.mark.slow
def test_a_real_slide_whose_worker_was_shot_is_in_review_ten_seconds_after_the_lease(
    installation, start_worker, real_slide
):
    """kill -9 while half of it is written; counted from the shot, the second worker's whole work included.

    A machine that is busy gets three times what the slide takes there when nobody shoots.
    """
    original = real_slide(REAL).read_bytes()
    sid, job = installation.add_slide(original=original)
    first = start_worker(installation, "first", work="tests.workers.genuine:stopped")
    installation.until(lambda: installation.slide(sid).stage == "write")
    undisturbed, _ = installation.add_slide(original=original)
    start_worker(installation, "second", work="tests.workers.genuine:deidentify")
    installation.until(lambda: installation.slide(undisturbed).state is State.PROCESSING)
    usual = installation.until(lambda: installation.slide(undisturbed).state is State.IN_REVIEW)
    assert installation.slide(sid).stage == "write", "the first one stands there with it"
    os.kill(first.pid, signal.SIGKILL)
    took = installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    assert installation.archive.catalog.job(job).token == 2
    assert took <= installation.settings.lease.total_seconds() + max(AFTER_LEASE, 3 * usual)


@pytest.mark.slow
def test_an_emptied_broker_loses_nothing(relay):
    """FLUSHALL while slides wait: the sweeper tells the worker again, bindings and all."""
    installation, valkey = relay.installation, relay.valkey
    first, _ = installation.add_slide(original=COPY)
    relay.now()
    installation.until(lambda: installation.slide(first).state is State.IN_REVIEW)
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        sids = [installation.add_slide(original=COPY)[0] for _ in range(3)]
        client.flushall()
        installation.until(lambda: all(installation.slide(sid).state is State.IN_REVIEW for sid in sids))


@pytest.mark.slow
def test_a_restarted_broker_is_found_again(relay):
    """kill -9 of the broker under work: work goes on when it is back, with no operator."""
    installation, valkey = relay.installation, relay.valkey
    running, _ = installation.add_slide(original=SLOW_COPY)
    relay.now()
    installation.until(lambda: installation.slide(running).stage == "write")
    os.kill(valkey.pid, signal.SIGKILL)
    valkey.stop()
    waiting, _ = installation.add_slide(original=COPY)
    valkey.start()
    for sid in (running, waiting):
        installation.until(lambda sid=sid: installation.slide(sid).state is State.IN_REVIEW)
    assert installation.slide(running).artefact.endswith("-1"), "the running slide never noticed"


@pytest.mark.slow
def test_a_dead_celery_worker_is_replaced(relay):
    """The supervisor has another forked; the slide goes on after the lease."""
    installation = relay.installation
    sid, _ = installation.add_slide(original=SLOW_COPY)
    supervisor = relay.now()
    installation.until(lambda: installation.slide(sid).stage == "write")
    (nursery,) = psutil.Process(supervisor.pid).children()
    (celery,) = nursery.children()
    celery.kill()
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    assert installation.slide(sid).artefact.endswith("-2")
    (another,) = nursery.children()
    assert another != celery


@pytest.mark.slow
def test_so_is_one_that_died_with_what_it_was_forked_from(relay):
    """The supervisor starts another, which loads everything itself."""
    installation = relay.installation
    sid, _ = installation.add_slide(original=SLOW_COPY)
    supervisor = psutil.Process(relay.now().pid)
    installation.until(lambda: installation.slide(sid).stage == "write")
    (nursery,) = supervisor.children()
    nursery.kill()
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    assert installation.slide(sid).artefact.endswith("-2")
    (another,) = [child for child in supervisor.children() if child != nursery]
    assert "workers.celery_worker" in another.cmdline()


@pytest.mark.slow
def test_a_worker_told_to_stop_gives_its_slide_back(relay, below, alive):
    """After the grace the slide is queued again with no attempt spent, and no process stays."""
    installation = relay.installation
    sid, job = installation.add_slide(original=HANG)
    supervisor = relay.now()
    installation.until(lambda: installation.slide(sid).state is State.PROCESSING)
    family = {supervisor.pid, *below(supervisor.pid)}
    os.kill(supervisor.pid, signal.SIGTERM)  # for SIGINT, which the same line listens to: test_local
    installation.until(lambda: not any(alive(pid) for pid in family))
    assert installation.slide(sid).state is State.QUEUED
    assert installation.archive.catalog.job(job).attempts == 0
    installation.archive.catalog.cancel(job, "ops")


@pytest.mark.slow
def test_a_worker_told_to_stop_keeps_what_was_verified(install, start_worker):
    """Long before the grace is over the slide is queued again behind its verifier, for another worker to go on with.

    And the worker is gone: whoever replaces all of them does not wait out the grace of each.
    """
    installation = install(shutdown_grace=timedelta(minutes=5))
    sid, job = installation.add_slide()
    supervisor = start_worker(installation, work="long_copy")
    installation.until(lambda: installation.slide(sid).stage == "write")
    os.kill(supervisor.pid, signal.SIGTERM)
    installation.until(lambda: installation.slide(sid).state is State.QUEUED)
    assert installation.archive.catalog.job(job).attempts == 0
    assert installation.archive.catalog.kept_draft(sid) is not None
    installation.until(lambda: supervisor.pid is None, seconds=60)
