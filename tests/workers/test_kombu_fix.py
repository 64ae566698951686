"""A failed acknowledgement reaches the consumer, which then reconnects; and nobody waits in the event loop."""

import logging
import subprocess
import sys

import kombu
import pytest
from kombu.message import Message
from kombu.transport import redis
from redis.connection import Connection as Redis

from coverslip.settings import Settings
from workers import kombu_fix
from workers.app import create

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


LISTEN = """
import sys, threading
from kombu import Connection
if sys.argv[2] == "fixed":
    from workers import kombu_fix
    kombu_fix.apply()
channel = Connection(sys.argv[1]).channel()
channel.subclient.psubscribe("*")
channel._receive()  # the subscription's own answer
thread = threading.Thread(target=channel._receive, daemon=True)
thread.start()
thread.join(3)
print("stands still" if thread.is_alive() else "goes on")
"""
"""Reads a message that nobody published, as after a connection that broke."""


@pytest.mark.parametrize(("how", "says"), [("fixed", "goes on"), ("as it is", "stands still")])
def test_the_event_loop_waits_for_no_message(valkey, how, says):
    """Without our fix it waits without a limit; when that changes, kombu has mended it."""
    run = subprocess.run([sys.executable, "-c", LISTEN, valkey.url, how], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == says


CLOSE = """
import sys
from pathlib import Path
from kombu import Connection, Queue
from workers.valkey import Valkey
if sys.argv[2] == "fixed":
    from workers import kombu_fix
    kombu_fix.apply()
with Valkey(Path(sys.argv[1])) as server:
    connection = Connection(server.url)
    channels = connection.default_channel, connection.channel()
    queues = [Queue("hints")(channel) for channel in channels]
    for queue in queues:
        queue.declare()
        connection.Producer().publish("a hint", routing_key="hints")
        assert queue.get(no_ack=False)
    for queue in queues:
        queue.consume("tag")
        channels[0].connection.cycle._register_BRPOP(queue.channel)
connection.collect(socket_timeout=1)
try:
    connection.close()
    print("goes on")
except AttributeError:
    print("ends")
"""
"""What Celery does to a connection whose broker went away while it waited, with a message nobody had acknowledged."""


@pytest.mark.parametrize(("how", "says"), [("fixed", "goes on"), ("as it is", "ends")])
def test_a_broken_connection_ends_no_worker(socket_dir, how, says):
    """Without our fix its last words are an AttributeError; when that changes, kombu has mended it."""
    command = [sys.executable, "-c", CLOSE, str(socket_dir / "broker" / "valkey.sock"), how]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == says


def test_nobody_connects_again_behind_kombu_s_back(tmp_path):
    """redis-py would mend a connection in place, and kombu would go on with what it knew of the old one."""
    app = create(Settings(data_dir=tmp_path, broker_url="redis://localhost/0"))
    assert not app.conf.broker_transport_options["retry_on_timeout"]
    with app.connection_for_write() as connection:
        options = connection.transport_options
        assert Redis(retry_on_timeout=options["retry_on_timeout"]).retry.get_retries() == 0


@pytest.mark.parametrize("version", [(4, 6, 0), (5, 8, 0), (6, 0, 0)])
def test_an_unknown_kombu_is_left_alone(monkeypatch, version):
    """We replace only code we have read."""
    monkeypatch.setattr(kombu, "VERSION", version)
    before = Message.ack_log_error, redis.Channel._receive, redis.Channel.do_restore
    assert not kombu_fix.apply()
    assert (Message.ack_log_error, redis.Channel._receive, redis.Channel.do_restore) == before
