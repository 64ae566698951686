"""A front end that gets hardly any threads: what cannot be done now is refused as that, and nothing is done late."""

import hashlib
import random
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.faults.front import CHUNK, PATIENCE, Front, announcement
from tests.faults.kernel import process_group

FILES, SIZE, PIECE = 12, 2 << 20, 200_000
LOADED = 3.0
"""Seconds after a start until what is loaded in the first moments has had its thread."""
STEPS = 12


@pytest.fixture
def group():
    """A group of processes whose threads are counted."""
    with process_group() as folder:
        yield folder


@pytest.fixture
def front(tmp_path, group):
    """A front end that belongs to it and has loaded everything."""
    found = Front(tmp_path / "data")
    found.start()
    (group / "cgroup.procs").write_text(str(found.pid))
    time.sleep(LOADED)
    yield found
    found.close()


def send(front: Front, data: bytes, told: Counter[int]) -> str:
    """Upload a file in pieces, each as often as it takes; its slide's id."""
    headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {front.key}"}
    with httpx.Client(base_url=front.url, headers=headers, timeout=PATIENCE) as client:

        def ask(method: str, where: str, **more: object) -> httpx.Response:
            answer = client.request(method, where, **more)
            told[answer.status_code] += 1
            time.sleep(0.02)
            return answer

        while (answer := ask("POST", "/uploads", headers=announcement(data))).status_code != 201:
            assert answer.headers["Retry-After"]
        where, at, sid = answer.headers["Location"], 0, None
        while sid is None:
            piece = data[at : at + PIECE]
            answer = ask("PATCH", where, content=piece, headers={**CHUNK, "Upload-Offset": str(at)})
            while answer.status_code not in (200, 204):
                answer = ask("HEAD", where)
            at, sid = int(answer.headers["Upload-Offset"]), answer.headers.get("Coverslip-Slide")
        return sid


def test_uploads_get_through_with_hardly_any_threads(front, group, record_property):
    """503 and a moment later again, never 500; every file is whole, and nobody's bytes are in another's."""
    chance = random.Random(4)
    files, told = [chance.randbytes(SIZE) for _ in range(FILES)], Counter()
    with ThreadPoolExecutor(FILES) as clients:
        sending = []
        for step in range(STEPS):
            (group / "pids.max").write_text(str(int((group / "pids.current").read_text()) + step % 2))
            sending = sending or [clients.submit(send, front, data, told) for data in files]
            time.sleep(0.3)
            assert httpx.get(f"{front.url}/healthz").status_code == 200
        (group / "pids.max").write_text("max")
        sids = [each.result(PATIENCE) for each in sending]
    print(told)
    record_property("told", str(told))
    uids = [front.archive.catalog.slide(sid).uid for sid in sids]
    kept = [b"".join(front.archive.original(uid).pieces()) for uid in uids]
    assert told[503] > FILES
    assert set(told) <= {200, 201, 204, 503}
    assert [hashlib.sha256(data).digest() for data in kept] == [hashlib.sha256(data).digest() for data in files]
    with sqlite3.connect(front.settings.data_dir / "catalogue.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
