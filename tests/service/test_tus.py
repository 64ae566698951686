"""The upload protocol: what is promised is kept, what is wrong is refused, and nothing is queued on trust."""

import base64
import hashlib
import io
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient import client as tuspy

from coverslip.errors import NotFound
from service import receiving
from service.routes import uploads
from service.routes.uploads import PATIENCE


@pytest.fixture(scope="module", params=["on the disk", "in a bucket"])
def house(request, house, house_with_bucket):
    """Everything here holds wherever uploads arrive."""
    return house if request.param == "on the disk" else house_with_bucket


CHUNK = {"Content-Type": "application/offset+octet-stream"}


def named(**values):
    """An Upload-Metadata header."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def digest(data):
    """A Repr-Digest header's value."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def begin(client, data, **metadata):
    """Announce a file and return its address."""
    answer = client.post(
        "/uploads", headers={"Upload-Length": str(len(data)), "Upload-Metadata": named(filename="DOE.svs", **metadata)}
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def send(client, where, data, offset=0, **headers):
    """Send bytes from an offset."""
    return client.patch(where, content=data, headers={**CHUNK, "Upload-Offset": str(offset), **headers})


def offset(client, where):
    """What the server has promised to keep."""
    return int(client.head(where).headers["Upload-Offset"])


def patch(house, where, length, *more):
    """The head of a PATCH, for a bare connection."""
    lines = [f"PATCH {where} HTTP/1.1", "Host: x", f"Authorization: Bearer {house.keys['submitter']}"]
    lines += ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0", *more]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def test_options_say_what_is_spoken(house):
    """OPTIONS needs no key and names version, extensions and the largest file."""
    answer = house.client().options("/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Extension"] == "creation,expiration,checksum,termination"
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert answer.headers["Tus-Max-Size"] == str(64 << 20)


def test_upload_with_digest_at_creation(house, tus):
    """A client that hashed first gets its slide with the last byte."""
    data = os.urandom(200_000)
    where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest())
    answer = send(tus(), where, data)
    assert answer.status_code == 204
    assert answer.headers["Upload-Offset"] == "200000"
    slide = house.archive.catalog.slide(answer.headers["Coverslip-Slide"])
    assert slide.state == "queued"
    assert b"".join(house.archive.original(slide.uid).pieces()) == data
    assert not house.archive.storage.incoming(slide.uid).exists()


def test_a_submission_takes_its_turn(house, tus):
    """What was sent before under one word does not hold up what the same owner sends under another."""
    data = os.urandom(1000)
    jobs = []
    for submission in ("monday", "monday", "tuesday"):
        where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest(), submission=submission)
        sid = send(tus(), where, data).headers["Coverslip-Slide"]
        jobs.append(house.archive.catalog.jobs(sid)[-1].id)
    ahead = [house.archive.catalog.ahead(job) for job in jobs]
    assert ahead[0] < ahead[2] < ahead[1]


def test_upload_with_digest_at_the_end(tus):
    """Without a digest the bytes are kept and nothing is queued; an empty PATCH with Repr-Digest finishes."""
    data = os.urandom(100_000)
    where = begin(tus(), data)
    assert "Coverslip-Slide" not in send(tus(), where, data).headers
    answer = send(tus(), where, b"", len(data), **{"Repr-Digest": digest(data)})
    assert answer.status_code == 204
    assert answer.headers["Coverslip-Slide"]


def test_whoever_lost_the_last_answer_is_told_again(house, tus):
    """By asking how far we are, or by sending the end once more; no second slide comes of it."""
    data = os.urandom(100_000)
    where = begin(tus(), data)
    send(tus(), where, data)
    before = sum(house.archive.catalog.counts().values())
    last = [send(tus(), where, b"", len(data), **{"Repr-Digest": digest(data)}) for _ in range(2)]
    again = tus().head(where)
    assert [answer.status_code for answer in (*last, again)] == [204, 204, 200]
    (sid,) = {answer.headers["Coverslip-Slide"] for answer in (*last, again)}
    assert house.archive.catalog.slide(sid).state == "queued"
    assert sum(house.archive.catalog.counts().values()) == before + 1
    assert send(tus(), where, data, 0).status_code == 409


def test_wrong_digest_queues_nothing(house, tus):
    """460, no slide, and the right digest afterwards still works."""
    data = os.urandom(50_000)
    where = begin(tus(), data)
    before = house.archive.catalog.queue_stats().depth
    answer = send(tus(), where, data, **{"Repr-Digest": digest(data + b"x")})
    assert answer.status_code == 460
    assert answer.json()["code"] == "digest-mismatch"
    assert house.archive.catalog.queue_stats().depth == before
    assert send(tus(), where, b"", len(data), **{"Repr-Digest": digest(data)}).headers["Coverslip-Slide"]


def test_bit_flipped_where_it_lies_is_seen(house, tus):
    """What is hashed is what lies there at the end, not what passed by."""
    data = os.urandom(180_000)
    where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest())
    send(tus(), where, data[:140_000])
    flip(house, where.rsplit("/", 1)[1])
    assert send(tus(), where, data[140_000:], 140_000).status_code == 460


def flip(house, uid):
    """Turn a bit over in what is kept of an upload."""
    if house.archive.arrivals.on_disk:
        with house.archive.storage.incoming(uid).open("r+b") as file:
            byte = os.pread(file.fileno(), 1, 12_345)[0]
            os.pwrite(file.fileno(), bytes([byte ^ 1]), 12_345)
        return
    pieces = house.archive.arrivals.pieces
    (kept,) = pieces.names(uid)
    data = bytearray(pieces.read(kept.name, kept.size, 0))
    data[12_345] ^= 1
    pieces.replace(kept.name, io.BytesIO(data))


def test_stale_offset_is_refused(tus):
    """Bytes that do not start where ours end change nothing."""
    data = os.urandom(1000)
    where = begin(tus(), data)
    assert send(tus(), where, data[:600]).status_code == 204
    answer = send(tus(), where, data[:400], 0)
    assert answer.status_code == 409
    assert answer.json()["code"] == "offset-conflict"
    assert offset(tus(), where) == 600


def test_more_than_announced_is_refused(tus):
    """A longer body than Upload-Length is refused before it is written, also when its length was not said."""
    data = os.urandom(1000)
    where = begin(tus(), data)
    assert send(tus(), where, data + b"x").status_code == 413
    assert send(tus(), where, iter([data, b"x"])).status_code == 413
    assert offset(tus(), where) <= 1000


def test_too_large_and_empty_are_refused(tus):
    """Limits hold at creation."""
    assert tus().post("/uploads", headers={"Upload-Length": str((64 << 20) + 1)}).status_code == 413
    assert tus().post("/uploads", headers={"Upload-Length": "0"}).status_code == 400
    assert tus().post("/uploads", headers={"Upload-Length": "-1"}).status_code == 400
    assert tus().post("/uploads").status_code == 400


def test_no_room_is_said_at_creation(house, tus, monkeypatch):
    """A file that would not fit is refused before its first byte."""
    monkeypatch.setattr(type(house.archive.storage), "free_bytes", lambda self: 1000)
    assert tus().post("/uploads", headers={"Upload-Length": "1000"}).status_code == 507


@pytest.mark.parametrize(
    "metadata",
    ["filename !!!", "fi/le YQ==", "policy " + base64.b64encode(b"/etc/passwd").decode(), "sha256 YWJj", "x" * 5000],
)
def test_metadata_is_bounded(tus, metadata):
    """Metadata that does not parse, or names a policy that is none, is refused without an echo."""
    answer = tus().post("/uploads", headers={"Upload-Length": "10", "Upload-Metadata": metadata})
    assert answer.status_code in (400, 413)
    assert "passwd" not in answer.text


def test_version_and_content_type(house, tus):
    """Another protocol version is 412, another kind of body 415."""
    where = begin(tus(), b"abc")
    assert house.client("submitter").head(where).status_code == 412
    assert tus().patch(where, content=b"abc", headers={"Upload-Offset": "0"}).status_code == 415
    packed = {"Content-Encoding": "gzip"}
    assert send(tus(), where, b"abc", **packed).status_code == 415


def test_every_answer_names_the_version(tus):
    """Tus-Resumable stands on refusals too."""
    assert tus().head("/uploads/unknown").headers["Tus-Resumable"] == "1.0.0"


def test_other_owners_uploads_do_not_exist(house, tus):
    """Another submitter gets the answer of an unknown upload, whatever it tries."""
    where = begin(tus(), b"abc")
    other = tus("other")
    assert [other.head(where).status_code, send(other, where, b"abc").status_code] == [404, 404]
    assert other.delete(where).status_code == 404
    assert offset(tus(), where) == 0


def test_termination_forgets_bytes_and_name(house, tus):
    """After DELETE there is neither file nor vault row."""
    where = begin(tus(), b"abcdef")
    send(tus(), where, b"abc")
    uid = where.rsplit("/", 1)[1]
    assert tus().delete(where).status_code == 204
    assert not house.archive.storage.incoming(uid).exists()
    with pytest.raises(NotFound):
        house.archive.catalog.unseal(uid, "test")
    assert tus().head(where).status_code == 410


def test_nothing_is_read_before_authorisation(house, tus):
    """A gigabyte is announced without a key: the refusal comes before a byte was sent, and nothing is kept."""
    where = begin(tus(), b"abcdef")
    host = urlsplit(house.url)
    with socket.create_connection((host.hostname, host.port), timeout=120) as connection:
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        head += "Content-Type: application/offset+octet-stream\r\nContent-Length: 1000000000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401")
    assert not house.archive.storage.incoming(where.rsplit("/", 1)[1]).exists()


def test_what_came_before_a_cut_is_kept(house, tus):
    """A connection that dies in the middle of a PATCH keeps its bytes; the client goes on from there."""
    data = os.urandom(3_000_000)
    where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest())
    with half_sent(house, where, data, 2_000_000):
        pass
    # Not by HEAD: whoever asks takes over, and what had not been read by then is not taken.
    until(lambda: house.archive.catalog.upload(where.rsplit("/", 1)[1]).offset == 2_000_000)
    assert offset(tus(), where) == 2_000_000
    assert send(tus(), where, data[2_000_000:], 2_000_000).headers["Coverslip-Slide"]


def test_a_newer_request_wins(house, tus):
    """While an old PATCH hangs with the connection open, HEAD and a new PATCH take over at once and lose nothing."""
    data = os.urandom(12_000_000)
    where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest())
    with half_sent(house, where, data, 9_000_000) as old:
        until(lambda: house.archive.catalog.upload(where.rsplit("/", 1)[1]).offset >= receiving.SYNC_BYTES)
        started = time.monotonic()
        kept = offset(tus(), where)
        assert receiving.SYNC_BYTES <= kept <= 9_000_000
        answer = send(tus(), where, data[kept:], kept)
        assert time.monotonic() - started < PATIENCE, "nobody waited for the old one to be given up"
        assert answer.headers["Coverslip-Slide"]
        assert b" 409 " in old.recv(100)


def test_who_asks_hears_what_was_promised_while_he_was_answered(house, tus, monkeypatch):
    """A PATCH that ends between the look at its upload and the answer: its promise is in the answer."""
    data = os.urandom(100_000)
    where = begin(tus(), data)
    uid, owned = where.rpartition("/")[2], uploads._owned
    connection = half_sent(house, where, data, 50_000)
    until(lambda: house.archive.catalog.upload(uid).generation == 1)
    left = [data[50_000:]]

    def slow(*given):
        seen = owned(*given)
        if left:
            connection.sendall(left.pop())
            until(lambda: house.archive.catalog.upload(uid).offset == len(data))
            time.sleep(0.5)  # until it has left the floor
        return seen

    monkeypatch.setattr(uploads, "_owned", slow)
    assert offset(tus(), where) == len(data)
    assert not left
    connection.close()


def test_who_was_overtaken_finishes_nothing(house, tus, monkeypatch):
    """A newer request that came when all bytes were there, in another process: the slide is its business."""
    data, received = os.urandom(1000), uploads.receive
    where = begin(tus(), data, sha256=hashlib.sha256(data).hexdigest())
    uid = where.rpartition("/")[2]

    async def overtaken(*given):
        await received(*given)
        house.archive.begin_patch(uid)

    monkeypatch.setattr(uploads, "receive", overtaken)
    answer = send(tus(), where, data)
    assert (answer.status_code, answer.json()["code"]) == (409, "lease-lost")
    assert house.archive.catalog.upload(uid).sid is None
    monkeypatch.undo()
    assert send(tus(), where, b"", len(data)).headers["Coverslip-Slide"]


def until(holds):
    """Wait for something that happens soon."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def half_sent(house, where, data, count):
    """A PATCH that announces everything and sends `count` bytes."""
    host = urlsplit(house.url)
    connection = socket.create_connection((host.hostname, host.port), timeout=120)
    head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
    head += f"Authorization: Bearer {house.keys['submitter']}\r\n"
    head += f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data[:count])
    return connection


@pytest.mark.parametrize("every", [0.1, 60.0])
def test_a_trickle_is_ended_and_kept(house, tus, monkeypatch, every):
    """A byte now and then, or none at all, holds a request no longer than its patience (408); what came is promised."""
    monkeypatch.setattr(uploads, "PATIENCE", 1.0)
    client, data = tus(), os.urandom(100_000)
    where = begin(client, data)
    target = urlsplit(house.url)
    began = time.monotonic()
    with socket.create_connection((target.hostname, target.port), timeout=30) as sock:
        lines = [
            f"PATCH {where} HTTP/1.1",
            f"Host: {target.netloc}",
            f"Authorization: Bearer {house.keys['submitter']}",
        ]
        lines += ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", "Upload-Offset: 0"]
        sock.sendall("\r\n".join([*lines, "Content-Length: 100000", "", ""]).encode())
        sock.settimeout(every)
        answer, at = b"", 0
        while not answer and at < 400:
            sock.sendall(data[at : at + 1])
            at += 1
            with suppress(TimeoutError):
                answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 20
    assert 1 <= offset(client, where) <= at


def test_a_slow_line_that_goes_on_is_waited_for(tus, monkeypatch):
    """A whole step within the patience gives new patience: together it may take many times as long."""
    monkeypatch.setattr(uploads, "PATIENCE", 3.0)
    client, data = tus(), os.urandom(6 * receiving.STEP_BYTES)
    where = begin(client, data)

    def slowly():
        for at in range(0, len(data), receiving.STEP_BYTES // 2):
            time.sleep(0.3)
            yield data[at : at + receiving.STEP_BYTES // 2]

    assert send(client, where, slowly()).status_code == 204
    assert offset(client, where) == len(data)


def test_tuspy_uploads_in_pieces(house, tmp_path):
    """An independent client sends a file in chunks and finds it complete."""
    data = os.urandom(700_000)
    path = tmp_path / "slide.svs"
    path.write_bytes(data)
    client = tuspy.TusClient(f"{house.url}/uploads", headers={"Authorization": f"Bearer {house.keys['submitter']}"})
    metadata = {"filename": "DOE.svs", "sha256": hashlib.sha256(data).hexdigest()}
    uploader = client.uploader(str(path), chunk_size=100_000, metadata=metadata)
    uploader.upload()
    upload = house.archive.catalog.upload(uploader.url.rsplit("/", 1)[1])
    assert upload.offset == 700_000
    assert upload.sid is not None


def test_too_many_unfinished_uploads(house, tus):
    """One owner cannot announce without end."""
    answers = [tus("other").post("/uploads", headers={"Upload-Length": "10"}).status_code for _ in range(41)]
    assert answers[-1] == 429
    assert answers.count(201) == 40


def test_killed_server_loses_nothing_it_promised(process):
    """kill -9 in mid-PATCH: after the restart the offset is one that was synced, and the rest completes the file."""
    environment = {**os.environ, "COVERSLIP_DATA_DIR": str(process.folder)}
    secret = make_key(environment)
    headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {secret}"}
    data = os.urandom(40 << 20)
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        where = begin(client, data, sha256=hashlib.sha256(data).hexdigest())

        def dying():
            for at in range(0, len(data), 1 << 20):
                if at == 36 << 20:
                    process.kill()
                yield data[at : at + (1 << 20)]

        with pytest.raises(httpx.TransportError):
            send(client, where, dying())
    process.start()
    with httpx.Client(base_url=process.url, headers=headers, timeout=120) as client:
        kept = offset(client, where)
        assert 16 << 20 <= kept <= 36 << 20
        assert send(client, where, data[kept:], kept).headers["Coverslip-Slide"]


def make_key(environment):
    """A submitter's key made on the command line."""
    made = subprocess.run(
        [sys.executable, "-m", "service", "key", "submitter"],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return made.stdout.strip()
