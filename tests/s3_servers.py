"""Real S3 servers, as processes of their own that end with us."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import botocore.exceptions
import botocore.session

from coverslip.archive.s3_store import Bucket

KEY_ID, SECRET = "coverslip-test", "not-a-secret"
START_UP = 120.0
"""Seconds; the machine may be busy."""
TRIES = 5
"""A free port may be taken by somebody else before the server has it."""


def _nanio(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    options = ["--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    return ["-m", "nanio", "serve", *options], {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET}


def _ministack(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    environment = {"GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1", "SERVICES": "s3", "HOME": str(folder)}
    return ["-m", "ministack"], environment


SERVERS = {"nanio": _nanio, "ministack": _ministack}


@contextmanager
def serving(kind: str, folder: Path):
    """A running server with one empty bucket; yields the bucket."""
    process, bucket = _started(kind, folder)
    try:
        yield bucket
    finally:
        _end(process)


def _started(kind: str, folder: Path) -> tuple[subprocess.Popen[bytes], Bucket]:
    for _ in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        arguments, environment = SERVERS[kind](folder, port)
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env={**os.environ, **environment}, stdout=log, stderr=log, cwd=folder
            )
        bucket = Bucket("slides", endpoint=f"http://127.0.0.1:{port}", key_id=KEY_ID, secret=SECRET)
        if _make(bucket, process):
            return process, bucket
        _end(process)
    raise AssertionError((folder / "server.log").read_text()[-2000:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def client(bucket: Bucket):
    """A client that is none of ours, to look behind the scenes with."""
    session = botocore.session.get_session()
    session.set_credentials(bucket.key_id, bucket.secret)
    return session.create_client("s3", region_name=bucket.region, endpoint_url=bucket.endpoint)


def settings_of(bucket: Bucket) -> dict[str, str]:
    """What an installation is told to lie in a bucket."""
    return {
        "storage": f"s3://{bucket.name}/{bucket.prefix}".rstrip("/"),
        "s3_endpoint": bucket.endpoint,
        "s3_key_id": bucket.key_id,
        "s3_secret_key": bucket.secret,
    }


def below(bucket: Bucket, prefix: str) -> Bucket:
    """The same bucket, another prefix."""
    return replace(bucket, prefix=prefix)


def _make(bucket: Bucket, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the server and make the bucket; False when it ended, as when somebody else has taken its port."""
    until = time.monotonic() + START_UP
    while process.poll() is None and time.monotonic() < until:
        try:
            client(bucket).create_bucket(Bucket=bucket.name)
        except botocore.exceptions.BotoCoreError:
            time.sleep(0.2)
        else:
            return process.poll() is None
    return False
