"""Real S3 servers, as processes of their own that end with us."""

import functools
import os
import re
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

botocore.session.create_loader = functools.cache(botocore.session.create_loader)
"""The description of all of S3 is read once a process, not for each of the archives that tests open and close."""

KEY_ID, SECRET = "coverslip-test", "not-a-secret"
START_UP = 120.0
"""Seconds; the machine may be busy."""
TRIES = 5
"""A free port may be taken by somebody else before the server has it."""
NANIOS = re.compile(r"/\.tmp\.[0-9a-f]{32}\Z")


def _nanio(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    options = ["--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    return ["-m", "nanio", "serve", *options], {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET}


def _ministack(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    environment = {"GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1", "SERVICES": "s3", "HOME": str(folder)}
    return ["-m", "ministack"], environment


SERVERS = {"nanio": _nanio, "ministack": _ministack}


class Server:
    """One S3 server with one bucket; it may be shot and started again, on the same port, with what it had on a disk."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind, self._folder = kind, folder
        self._process, self.bucket = _started(kind, folder)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.bucket.endpoint.rsplit(":", 1)[1])

    def kill(self) -> None:
        """No goodbye."""
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        """Start again, if it was shot."""
        if self._process.poll() is None:
            return
        for _ in range(TRIES):
            self._process = _run(self._kind, self._folder, self.port)
            if _make(self.bucket, self._process):
                return
        raise AssertionError((self._folder / "server.log").read_text()[-2000:])

    def end(self) -> None:
        """For good."""
        _end(self._process)


@contextmanager
def serving(kind: str, folder: Path):
    """A running server with one empty bucket; yields the bucket."""
    server = Server(kind, folder)
    try:
        yield server.bucket
    finally:
        server.end()


def _started(kind: str, folder: Path) -> tuple[subprocess.Popen[bytes], Bucket]:
    for _ in range(TRIES):
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        process = _run(kind, folder, port)
        bucket = Bucket("slides", endpoint=f"http://127.0.0.1:{port}", key_id=KEY_ID, secret=SECRET)
        if _make(bucket, process):
            return process, bucket
        _end(process)
    raise AssertionError((folder / "server.log").read_text()[-2000:])


def _run(kind: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    arguments, environment = SERVERS[kind](folder, port)
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            cwd=folder,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def client(bucket: Bucket):
    """A client that is none of ours, to look behind the scenes with."""
    return _client(bucket.key_id, bucket.secret, bucket.region, bucket.endpoint)


@functools.cache
def _client(key_id: str, secret: str, region: str, endpoint: str):
    session = botocore.session.get_session()
    session.set_credentials(key_id, secret)
    return session.create_client("s3", region_name=region, endpoint_url=endpoint)


def left_behind(bucket: Bucket) -> list[str]:
    """Pieces of uploads, and files that were begun and never completed: nothing of that stays.

    What nanio itself was writing when it was killed it lists afterwards, under a name of its own: none of ours.
    """
    s3 = client(bucket)
    listed = s3.list_objects_v2(Bucket=bucket.name, Prefix=f"{bucket.prefix}/arriving/".lstrip("/"))
    begun = s3.list_multipart_uploads(Bucket=bucket.name).get("Uploads", ())
    ours = [found["Key"] for found in begun if found["Key"].startswith(bucket.prefix)]
    lying = (found["Key"] for found in listed.get("Contents", ()))
    return [key for key in lying if not NANIOS.search(key)] + ours


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
            time.sleep(0.1)
        except botocore.exceptions.ClientError as error:  # started again: it is there already
            if not str(error.response["Error"]["Code"]).startswith("BucketAlready"):
                raise
            return process.poll() is None
        else:
            return process.poll() is None
    return False
