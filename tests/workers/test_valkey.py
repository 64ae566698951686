"""The embedded broker is private, keeps what it has, and dies with whoever started it."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from coverslip.errors import StorageFailed
from workers.valkey import KEPT, Valkey

OWNER = """
import sys, time
from pathlib import Path
from workers.valkey import Valkey
server = Valkey(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def test_it_dies_with_its_parent(socket_dir, installation, alive):
    """kill -9 of the supervisor leaves no server behind."""
    command = [sys.executable, "-c", OWNER, str(socket_dir / "v.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        server = int(owner.stdout.readline())
        assert alive(server)
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
    installation.until(lambda: not alive(server))


def test_only_we_reach_it(valkey):
    """No port, and a socket in a folder nobody else can enter."""
    assert stat.S_IMODE(valkey.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o700
    with redis.Redis(unix_socket_path=str(valkey.socket), decode_responses=True) as client:
        assert client.config_get("port", "maxmemory-policy", "appendonly") == {
            "port": "0",
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
        }


def test_a_folder_others_can_enter_is_refused(socket_dir):
    """A hint queue anybody can write to is no hint queue."""
    socket_dir.chmod(0o755)
    with pytest.raises(StorageFailed):
        Valkey(socket_dir / "v.sock").start()


def test_it_keeps_what_it_has(socket_dir):
    """A stop and a start lose no message."""
    with Valkey(socket_dir / "v.sock") as server, redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.rpush("queue", "hint")
    with Valkey(socket_dir / "v.sock") as server, redis.Redis(unix_socket_path=str(server.socket)) as client:
        assert client.lrange("queue", 0, -1) == [b"hint"]


def test_a_binary_that_does_not_start_is_an_error(socket_dir):
    """Said at once, not after the timeout."""
    with pytest.raises(StorageFailed):
        Valkey(socket_dir / "v.sock", binary=Path("/bin/false")).start()


def test_debian_s_redis_serves_as_well(socket_dir):
    """The same options start the distribution's server."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with Valkey(socket_dir / "v.sock", binary=Path(binary)) as server:
        assert server.alive()


def test_of_several_one_runs_it_and_the_next_takes_over(socket_dir):
    """Workers of one machine share a broker, however many are started, and whichever of them leaves first."""
    path = socket_dir / "v.sock"
    with Valkey(path) as first, Valkey(path) as second:
        assert first.pid is not None
        assert second.pid is None
        assert second.alive()
        assert not second.revive()
        first.stop()
        assert second.revive()
        assert second.pid is not None


def test_one_whose_owner_is_stopped_as_well_comes_back(socket_dir, installation, monkeypatch):
    """Whoever shares it wakes the one that runs it, which starts it again; nobody else has to."""
    monkeypatch.setattr("workers.valkey.START_TIMEOUT", 1.0)
    command = [sys.executable, "-c", OWNER.replace("time.sleep(600)", KEEPS), str(socket_dir / "v.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            server = int(owner.stdout.readline())
            for pid in (owner.pid, server):
                os.kill(pid, signal.SIGSTOP)
            second = Valkey(socket_dir / "v.sock")
            with pytest.raises(StorageFailed):
                second.start()
            installation.until(second.alive, 60)
            second.start()
            assert second.pid is None
        finally:
            owner.kill()


KEEPS = """
import workers.valkey as module
module.SILENT = 0.5
while True:
    time.sleep(0.1)
    server.revive()
"""


def test_what_it_cannot_read_is_let_go(socket_dir):
    """A file damaged in its middle would keep it from ever starting again, for the sake of hints."""
    path = socket_dir / "v.sock"
    with Valkey(path) as server, redis.Redis(unix_socket_path=str(path)) as client:
        client.set("key", "value")
    (log,) = (socket_dir / KEPT).glob("*.incr.aof")
    log.write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense" + log.read_bytes() * 2)
    with server, redis.Redis(unix_socket_path=str(path)) as client:
        assert client.get("key") is None
