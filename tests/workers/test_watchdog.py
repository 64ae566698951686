"""A worker that lives but does not work is noticed, and only such a worker."""

import os
import signal
from contextlib import nullcontext

import pytest
from kombu.exceptions import OperationalError

from coverslip.archive.states import State
from workers.watchdog import Watchdog


class Control:
    """Celery's control, answering as told."""

    def __init__(self, *answers):
        self._answers = list(answers)

    @property
    def control(self):
        return self

    def connection_for_write(self):
        return nullcontext()

    def ping(self, **_):
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def watch(installation):
    """A watchdog over some answers."""
    return lambda *answers: Watchdog(Control(*answers), installation.archive.catalog, installation.settings, "w@test")


YES, NO = [{"w@test": {"ok": "pong"}}], []


def test_two_silences_in_a_row_are_a_hang(watch):
    """One may be chance."""
    dog = watch(NO, YES, NO, NO)
    assert [dog.hangs() for _ in range(4)] == [False, False, False, True]


def test_a_broker_that_is_away_is_not_the_worker_s_fault(watch):
    """Killing workers would not bring it back."""
    dog = watch(OperationalError(), ConnectionError(), OperationalError())
    assert not any(dog.hangs() for _ in range(3))


def test_a_worker_that_answers_but_takes_no_work_hangs(watch, install):
    """The measured case: it answers, and nothing is claimed."""
    dog = watch(YES, YES)
    dog._catalog.is_stalled = lambda *_: True
    assert [dog.hangs(), dog.hangs()] == [False, True]


def test_a_worker_that_starts_may_be_silent(watch):
    """Until its first answer nothing is counted; whoever starts anew has not answered."""
    dog = watch(NO, OperationalError(), YES)
    assert [dog.greets() for _ in range(3)] == [False, False, True]
    assert dog.has_answered
    dog.forgive()
    assert not dog.has_answered


@pytest.mark.slow
def test_a_stopped_worker_is_replaced(install, start_worker):
    """SIGSTOP of Celery's main process: the watchdog replaces it and the slide is done."""
    import psutil

    installation = install(watchdog_every=1, watchdog_stall=30)
    first, _ = installation.add_slide()
    supervisor = start_worker(installation, work="copy")
    installation.until(lambda: installation.slide(first).state is State.IN_REVIEW)
    (celery,) = psutil.Process(supervisor.pid).children()
    os.kill(celery.pid, signal.SIGSTOP)
    second, _ = installation.add_slide()
    installation.until(lambda: installation.slide(second).state is State.IN_REVIEW)
    assert not psutil.pid_exists(celery.pid)
