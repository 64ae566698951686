"""Signals that ask a command to end: one exception, once, and never in the middle of something."""

import signal
import subprocess
import sys
import threading

import pytest

from coverslip import interrupts
from coverslip.interrupts import Interrupted, Shielded


@pytest.fixture
def ears(monkeypatch):
    """Ears that have heard nothing, and the signals given back afterwards."""
    fresh = interrupts._Ears()
    monkeypatch.setattr(interrupts, "_ears", fresh)
    before = {number: signal.getsignal(number) for number in interrupts.ASKED_BY}
    for number in before:
        signal.signal(number, signal.SIG_DFL)  # whoever started the tests may ignore some
    interrupts.listen()
    yield fresh
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_each_has_its_exit_code(ears, number, code):
    """As shells count them."""
    with pytest.raises(Interrupted) as caught:
        signal.raise_signal(number)
    assert caught.value.exit_code == code


def test_only_the_first_counts(ears):
    """Whoever is impatient waits for the tidying up."""
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)


def test_a_shield_puts_it_off(ears):
    """To the end of the outermost block, also when that ends with an error; the first signal is the one that counts."""
    done = []

    def work():
        with Shielded():
            with Shielded():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGINT)
            done.append("inner")
            raise ValueError

    with pytest.raises(Interrupted) as caught:
        work()
    assert done == ["inner"]
    assert caught.value.exit_code == 143


def test_only_the_main_thread_is_asked(ears):
    """A shield elsewhere neither puts off nor raises."""
    raised = []

    def work():
        try:
            with Shielded():
                assert not ears.depth
        except Interrupted as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert raised == []


def test_what_was_ignored_stays_ignored():
    """As nohup wants it."""
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from coverslip.interrupts import listen; listen(); signal.raise_signal(signal.SIGHUP)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_library_leaves_signals_alone():
    """Importing everything changes no handler."""
    code = (
        "import signal\n"
        "before = [signal.getsignal(number) for number in signal.valid_signals()]\n"
        "import coverslip.pipeline, coverslip.confined.desk, coverslip.cli\n"
        "assert before == [signal.getsignal(number) for number in signal.valid_signals()]"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
