"""No identifier leaves the vault: not to the broker, the logs, the tables or any file name we write."""

import base64
import os
import socket
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import pytest
import redis

from coverslip.archive.states import State

FILENAME = "Kowalczyk-Aleksandra-1961-S26-48213.svs"
METADATA = {"patient": "MRN-77120345", "note": "Żaneta Kowalczyk"}
INSIDE = b"ScanScope ID = KRNK-90017"
CANARIES = [FILENAME, "Kowalczyk", "48213", *METADATA.values(), INSIDE.decode()]
ENDS = {
    "copy": State.IN_REVIEW,
    "doubt": State.QUARANTINED,
    "decline": State.REJECTED,
    "damaged": State.QUARANTINED,
    "bug": State.QUARANTINED,
}


def forms(word: str) -> list[bytes]:
    """A word as it may be spelled in bytes."""
    plain = word.encode()
    return [plain, word.encode("utf-16-le"), base64.b64encode(plain), plain.hex().encode(), repr(plain).encode()[2:-1]]


def found_in(data: bytes) -> list[str]:
    """Which canaries stand in some bytes."""
    return [word for word in CANARIES if any(form in data for form in forms(word))]


@pytest.fixture
def monitored(valkey):
    """Every command the broker sees, from now on."""
    heard = []
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(valkey.socket))
        line.sendall(b"MONITOR\r\n")

        def listen():
            while data := line.recv(1 << 16):
                heard.append(data)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        yield heard
        line.shutdown(socket.SHUT_RDWR)
        listener.join()


@pytest.mark.slow
def test_nothing_that_names_a_person_leaves_the_vault(installation, monitored, start_worker, valkey, tmp_path):
    """Success and every kind of failure, with names in the file's name, its metadata and its bytes."""
    catalog, storage = installation.archive.catalog, installation.archive.storage
    sids = {}
    for work in ENDS:
        original = work.encode() + b" " + INSIDE + b" and some tissue" * 100
        upload = catalog.create_upload("owner", len(original), datetime.now(UTC) + timedelta(1), FILENAME, METADATA)
        generation = installation.archive.begin_patch(upload.uid)
        storage.incoming(upload.uid).write_bytes(original)
        catalog.advance(upload.uid, generation, len(original))
        sids[work] = installation.archive.finish_upload(catalog.upload(upload.uid), "strict", "default", str)
    start_worker(installation, work="as_asked")
    installation.until(lambda: {work: installation.slide(sid).state for work, sid in sids.items()} == ENDS)
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        kept = b"".join(repr((key, client.dump(key))).encode() for key in client.scan_iter())
    logs = b"".join(path.read_bytes() for path in tmp_path.glob("*.log"))
    assert b"claimed" in logs
    heard = b"".join(monitored)
    assert heard.count(b"LPUSH") >= len(ENDS)
    assert found_in(heard) == []
    assert found_in(kept) == []
    assert found_in(logs) == []
    assert found_in(_tables(installation)) == []
    assert found_in("\n".join(_names(installation)).encode()) == []


def _tables(installation) -> bytes:
    with sqlite3.connect(installation.settings.data_dir / "catalogue.sqlite") as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        assert "vault" in names
        return "".join(repr(row) for name in names for row in connection.execute(f"SELECT * FROM {name}")).encode()


def _names(installation) -> list[str]:
    return [name for _, folders, files in os.walk(installation.settings.data_dir) for name in folders + files]
