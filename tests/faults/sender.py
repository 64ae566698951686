"""A client that goes on until its file is whole, whatever it is told meanwhile, and writes down what that was."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from coverslip.archive.archive import Archive
from tests.faults.front import CHUNK, PATIENCE, Front

PAUSE = 0.05
"""Seconds between two tries; a client of ours is less patient than `Retry-After` asks for."""
TYPED = frozenset({201, 204, 200, 409, 503, 507})


@dataclass
class Seen:
    """What a client was told."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    """Requests whose connection broke."""
    untyped: list[str] = field(default_factory=list)
    """Answers that should not be: other statuses, or 503 without `Retry-After`."""
    slowest: float = 0.0
    """Seconds to the slowest answer."""

    def took(self, answer: httpx.Response, began: float) -> None:
        """Note one answer."""
        self.statuses[answer.status_code] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)
        busy = answer.status_code in (503, 507)
        if answer.status_code not in TYPED or (answer.status_code == 503 and "Retry-After" not in answer.headers):
            self.untyped.append(f"{answer.request.method} {answer.status_code} {answer.text[:100]}")
        elif busy and answer.request.method != "HEAD" and "code" not in answer.json():
            self.untyped.append(answer.text[:100])


class Sender:
    """Sends files to one front end."""

    def __init__(self, url: str, key: str, archive: Archive) -> None:
        """`archive` says what became of a file whose last answer got lost."""
        self._headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {key}"}
        self._url, self._archive = url, archive
        self.seen = Seen()

    def send(self, data: bytes, until: float = PATIENCE) -> str:
        """Bring one file in; its slide's id. Raises `TimeoutError`."""
        end = time.monotonic() + until
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=PATIENCE) as client:
            where, known = "", 0
            while time.monotonic() < end:
                try:
                    where = where or self._announce(client, data)
                    if where:
                        sid, known = self._go_on(client, where, data, known)
                        if sid:
                            return sid
                except httpx.TransportError:
                    self.seen.broken += 1
                time.sleep(PAUSE)
        raise TimeoutError

    def _announce(self, client: httpx.Client, data: bytes) -> str:
        said = {"filename": b"x.svs", "sha256": hashlib.sha256(data).hexdigest().encode()}
        pairs = ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in said.items())
        began = time.monotonic()
        answer = client.post("/uploads", headers={"Upload-Length": str(len(data)), "Upload-Metadata": pairs})
        self.seen.took(answer, began)
        return answer.headers.get("Location", "")

    def _go_on(self, client: httpx.Client, where: str, data: bytes, known: int) -> tuple[str, int]:
        """One HEAD and one PATCH: the slide's id if that was all, and the offset that was promised."""
        began = time.monotonic()
        asked = client.head(where)
        self.seen.took(asked, began)
        if asked.status_code != 200:
            return "", known
        at = int(asked.headers["Upload-Offset"])
        assert at >= known, "an acknowledged offset decreased"
        began = time.monotonic()
        answer = client.patch(where, content=data[at:], headers={**CHUNK, "Upload-Offset": str(at)})
        self.seen.took(answer, began)
        if answer.status_code == 409:  # an answer that got lost may have been the one that named the slide
            return self._archive.catalog.upload(where.rsplit("/", 1)[1]).sid or "", at
        return answer.headers.get("Coverslip-Slide", ""), max(at, int(answer.headers.get("Upload-Offset", at)))


class Senders:
    """Some senders beside the test, which is told when all that was asked for has come in."""

    def __init__(self, front: Front, data: bytes, count: int = 2) -> None:
        self._data = data
        self.asked = 0
        self.sids: list[str] = []
        self.senders = [Sender(front.url, front.key, front.archive) for _ in range(count)]
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in self.senders]
        self._begun = 0
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; what is under way comes to its end first."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    @property
    def untyped(self) -> list[str]:
        """Answers that should not have been."""
        return [each for sender in self.senders for each in sender.seen.untyped]

    def _run(self, sender: Sender) -> None:
        while not self._stopping.is_set():
            with self._lock:
                mine = self._begun < self.asked
                self._begun += mine
            if not mine:
                time.sleep(PAUSE)
                continue
            with suppress(TimeoutError):
                sid = sender.send(self._data, 10 * PATIENCE)
                with self._lock:
                    self.sids.append(sid)
