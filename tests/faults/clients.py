"""Clients that bring their files in whatever happens to the service: each announces, sends, asks and goes on."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Self

import httpx

from coverslip.errors import StorageFailed
from tests.faults.front import CHUNK, Front, announcement

PATIENCE = 15.0
"""Seconds one answer may take; a stopped service wakes up sooner."""
PAUSE = 0.1
"""Seconds until the next try at a service that is away."""
TYPED = frozenset({409, 503, 507})
"""Answers a client goes on after: somebody else's offset, storage away, storage full."""


class Clients:
    """Some threads, each with one file on the way."""

    def __init__(self, front: Front, data: bytes, count: int = 4) -> None:
        """Every file is `data`, sent in two halves."""
        self.sids: list[str] = []
        """Slides that were acknowledged."""
        self.answers = Counter[int]()
        """Refusals and failures, by status; 0 is an answer that did not come."""
        self._front, self._data = front, data
        self._wanted = self._begun = 0
        self._stopping = False
        self._moved = threading.Condition()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._moved:
            self._stopping = True
            self._moved.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def missing(self) -> int:
        """Files asked for and not acknowledged yet."""
        return self._wanted - len(self.sids)

    @property
    def untyped(self) -> dict[int, int]:
        """Answers nobody should ever get."""
        return {status: count for status, count in self.answers.items() if status and status not in TYPED}

    def want(self, count: int) -> None:
        """Ask for that many files in all."""
        with self._moved:
            self._wanted = max(self._wanted, count)
            self._moved.notify_all()

    def _run(self) -> None:
        headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {self._front.key}"}
        with httpx.Client(base_url=self._front.url, headers=headers, timeout=PATIENCE) as client:
            while self._another():
                self._bring_in(client)

    def _another(self) -> bool:
        """Take a file to send, when there is one."""
        with self._moved:
            self._moved.wait_for(lambda: self._stopping or self._begun < self._wanted)
            self._begun += 1
            return not self._stopping

    def _bring_in(self, client: httpx.Client) -> None:
        where: str | None = None
        while not self._stopping:
            try:
                where = where or self._announced(client)
                sid = self._sent(client, where) if where else None
            except (httpx.TransportError, StorageFailed):
                self.answers[0] += 1
                sid = None
            with self._moved:
                if sid:
                    self.sids.append(sid)
                    return
                self._moved.wait_for(lambda: self._stopping, PAUSE)

    def _announced(self, client: httpx.Client) -> str | None:
        answer = client.post("/uploads", headers=announcement(self._data))
        self._note(answer, 201)
        return answer.headers.get("Location")

    def _sent(self, client: httpx.Client, where: str) -> str | None:
        """Go on where the service says; the slide's id once there is one."""
        asked = client.head(where)
        self._note(asked, 200)
        if asked.status_code != 200:
            return None
        at = int(asked.headers["Upload-Offset"])
        if at == len(self._data) and (sid := self._front.archive.catalog.upload(where.rpartition("/")[2]).sid):
            return sid  # its answer was lost
        middle = len(self._data) // 2
        end = middle if at < middle else len(self._data)
        answer = client.patch(where, content=self._data[at:end], headers={**CHUNK, "Upload-Offset": str(at)})
        self._note(answer, 204)
        return answer.headers.get("Coverslip-Slide")

    def _note(self, answer: httpx.Response, good: int) -> None:
        if answer.status_code != good:
            self.answers[answer.status_code] += 1
