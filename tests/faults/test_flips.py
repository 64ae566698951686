"""One bit that turns over, on the way or on the disk: it is always noticed, and no work starts on such a file."""

import asyncio
import hashlib
import os
import random
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from coverslip.archive.archive import Archive
from coverslip.settings import Settings
from service.main import create_app
from tests.faults.front import CHUNK

FLIPS = int(os.environ.get("COVERSLIP_FLIPS", "1000"))
SOUND = 20
"""Uploads with no bit turned among them: a server that refuses everything would notice every bit, too."""
LARGEST = 48 << 10


class Trials:
    """Uploads of which the first half has arrived; the second comes over HTTP."""

    def __init__(self, folder):
        settings = Settings(data_dir=folder)
        self.app = create_app(settings)
        self.archive = Archive.open(settings, with_vault=True)
        key = self.archive.catalog.create_key("submitter", {"submitter"}, "submitter")[1]
        self.headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {key}", **CHUNK}
        self.chance = random.Random(11)

    def half_arrived(self, data):
        """An upload that says its digest; where it is."""
        said = {"sha256": hashlib.sha256(data).hexdigest()}
        until = datetime.now(UTC) + timedelta(days=1)
        found = self.archive.catalog.create_upload("submitter", len(data), until, "x", said)
        target = self.archive.writer(found, self.archive.begin_patch(found.uid))
        target.write(data[: len(data) // 2])
        target.keep(target.mark())
        target.close()
        return found.uid

    async def run(self, flips):
        """(status, code) of every upload, flipped or not."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=self.headers) as client:
            return [await self.one(client, flip) for flip in flips]

    async def one(self, client, flip):
        """Send the second half; `flip` names where a bit turns over meanwhile, if anywhere."""
        data = self.chance.randbytes(self.chance.randrange(2, LARGEST))
        uid, middle = self.half_arrived(data), len(data) // 2
        path = self.archive.storage.incoming(uid)
        rest = self.flipped(data[middle:]) if flip == "on the way" else data[middle:]
        if flip == "on the disk":
            path.write_bytes(self.flipped(data[:middle]))
        answer = await client.patch(f"/uploads/{uid}", content=rest, headers={"Upload-Offset": str(middle)})
        path.unlink(missing_ok=True)
        return answer.status_code, answer.json()["code"] if answer.content else answer.headers.get("Coverslip-Slide")

    def flipped(self, data):
        """The same but for one bit."""
        bit = self.chance.randrange(len(data) * 8)
        return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.fixture
def trials(quick_folder):
    found = Trials(quick_folder)
    yield found
    found.archive.close()


@pytest.mark.slow(60)
def test_every_flipped_bit_is_noticed(trials):
    """COVERSLIP_FLIPS of them, half on the way and half on the disk between two pieces: 460, and nothing is queued."""
    ended = asyncio.run(trials.run([("on the way", "on the disk")[n % 2] for n in range(FLIPS)]))
    assert ended == [(460, "digest-mismatch")] * FLIPS
    assert sum(trials.archive.catalog.counts().values()) == 0
    assert trials.archive.catalog.queue_stats().depth == 0
    sound = asyncio.run(trials.run([None] * SOUND))
    assert {status for status, _ in sound} == {204}
    assert trials.archive.catalog.queue_stats().depth == len({sid for _, sid in sound}) == SOUND
