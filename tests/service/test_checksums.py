"""The tus checksum extension: a chunk is kept whole and right, or not at all."""

import base64
import hashlib
import os
import socket
import time
from urllib.parse import urlsplit

import pytest
from tusclient import client as tuspy

from tests.service.test_tus import begin, offset, send


def checksum(data, algorithm="sha1"):
    """An Upload-Checksum header's value."""
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_chunk_is_what_its_checksum_says(tus, algorithm):
    """A right chunk is kept; a wrong one is 460 and none of it is, however long; then the right one goes on."""
    client, data = tus(), os.urandom(9 << 20)  # more than is promised at a time
    where = begin(client, data, sha256=hashlib.sha256(data).hexdigest())
    half = 8 << 20
    wrong = send(client, where, data[:half], **{"Upload-Checksum": checksum(b"other", algorithm)})
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum-mismatch")
    assert offset(client, where) == 0
    right = {"Upload-Checksum": checksum(data[:half], algorithm)}
    assert send(client, where, data[:half], **right).headers["Upload-Offset"] == str(half)
    last = send(client, where, data[half:], half, **{"Upload-Checksum": checksum(data[half:], algorithm)})
    assert last.headers["Coverslip-Slide"]


@pytest.mark.parametrize(
    "said", ["md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1", "sha1 !!!", "sha1 AAAA", "sha256 2jmj7l5rSw0yVb="]
)
def test_a_checksum_that_is_none_is_refused(tus, said):
    """Another algorithm, no digest, or one of another length: 400, and no byte is kept."""
    client = tus()
    where = begin(client, b"hello")
    assert send(client, where, b"hello", **{"Upload-Checksum": said}).status_code == 400
    assert offset(client, where) == 0


def test_a_checked_chunk_that_breaks_off_is_not_kept(house, tus):
    """Nobody can say whether half a chunk is right: the offset stays where it was, and nothing lies about."""
    client, data = tus(), os.urandom(3 << 20)
    where, target = begin(client, data), urlsplit(house.url)
    before = sorted((house.archive.storage.root / "phi" / "incoming").iterdir())
    with socket.create_connection((target.hostname, target.port), timeout=30) as sock:
        lines = [
            f"PATCH {where} HTTP/1.1",
            f"Host: {target.netloc}",
            f"Authorization: Bearer {house.keys['submitter']}",
        ]
        lines += ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0"]
        lines += [f"Upload-Checksum: {checksum(data)}", f"Content-Length: {len(data)}", "", ""]
        sock.sendall("\r\n".join(lines).encode() + data[: 2 << 20])
        time.sleep(0.5)
    time.sleep(0.5)
    assert offset(client, where) == 0
    after = set((house.archive.storage.root / "phi" / "incoming").iterdir()) - set(before)
    assert {path.name for path in after} <= {where.rsplit("/", 1)[1]}
    assert send(client, where, data, **{"Upload-Checksum": checksum(data)}).status_code == 204


def test_more_than_announced_is_refused_with_a_checksum_too(tus):
    """Chunked bodies say no length beforehand: what is too much is not even looked at."""
    client = tus()
    where = begin(client, b"hello")
    answer = send(client, where, iter([b"hello", b" world"]), **{"Upload-Checksum": checksum(b"hello world")})
    assert answer.status_code == 413
    assert offset(client, where) == 0


def test_tuspy_with_checksums(house, tmp_path):
    """A client that checks each chunk gets its slide."""
    path = tmp_path / "slide.svs"
    path.write_bytes(os.urandom(1 << 20))
    headers = {"Authorization": f"Bearer {house.keys['submitter']}"}
    found = tuspy.TusClient(f"{house.url}/uploads", headers=headers)
    said = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    uploader = found.uploader(str(path), chunk_size=300_000, metadata=said, upload_checksum=True)
    uploader.upload()
    assert uploader.offset == 1 << 20
