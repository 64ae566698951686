"""A failed acknowledgement reaches the consumer, which then reconnects."""

import logging
import subprocess
import sys

import kombu
import pytest
from kombu.message import Message

from workers import kombu_fix

METHODS = ("ack_log_error", "reject_log_error")


class LostChannel:
    """A channel whose connection is gone."""

    no_ack_consumers = None

    def basic_ack(self, *_, **__):
        raise ConnectionError

    def basic_reject(self, *_, **__):
        raise ConnectionError


def fail(name):
    """Acknowledge or reject over a lost connection."""
    message = Message(channel=LostChannel(), delivery_tag="1")
    getattr(message, name)(logging.getLogger("test"), (ConnectionError,))


@pytest.mark.parametrize("name", METHODS)
def test_the_error_is_raised_again(monkeypatch, name):
    """The consumer has to learn that its connection is gone."""
    for method in METHODS:
        monkeypatch.setattr(Message, method, getattr(Message, method))
    assert kombu_fix.apply()
    with pytest.raises(ConnectionError):
        fail(name)


@pytest.mark.parametrize("name", METHODS)
def test_kombu_still_swallows(name):
    """In a process without our fix; when this fails, kombu has mended it: remove `workers/kombu_fix.py`."""
    unfixed = (
        "import logging; from kombu.message import Message\n"
        "class Lost:\n"
        "    no_ack_consumers = None\n"
        "    def basic_ack(self, *_, **__): raise ConnectionError\n"
        "    basic_reject = basic_ack\n"
        f"Message(channel=Lost(), delivery_tag='1').{name}(logging.getLogger(), (ConnectionError,))\n"
    )
    assert subprocess.run([sys.executable, "-c", unfixed], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("version", [(4, 6, 0), (5, 8, 0), (6, 0, 0)])
def test_an_unknown_kombu_is_left_alone(monkeypatch, version):
    """We replace only code we have read."""
    monkeypatch.setattr(kombu, "VERSION", version)
    before = Message.ack_log_error
    assert not kombu_fix.apply()
    assert Message.ack_log_error is before
