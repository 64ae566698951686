"""A client that goes on until its file is whole, whatever it is told meanwhile, and writes down what that was."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import Self

from coverslip.errors import StorageFailed
from tests.faults.front import CHUNK, PATIENCE, Front, announcement

PAUSE = 0.1
"""Seconds until the next try; a client of ours is less patient than `Retry-After` asks for."""
TYPED = frozenset({409, 503, 507})
"""Answers a client goes on after: somebody else's offset, storage away, storage full."""


class Unanswered(Exception):
    """No answer came, or half of one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was told."""

    method: str
    status_code: int
    headers: HTTPMessage
    text: str


class Wire:
    """One kept connection that asks for one thing at a time; costs the machine less than a whole HTTP client."""

    def __init__(self, port: int, headers: Mapping[str, str], patience: float) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=patience)
        self._headers = dict(headers)

    def close(self) -> None:
        """End it; the next request begins another."""
        self._connection.close()

    def ask(self, method: str, where: str, headers: Mapping[str, str], content: bytes | None) -> Answer:
        """One answer; raises `Unanswered`."""
        try:
            self._connection.request(method, where, body=content, headers={**self._headers, **headers})
            answer = self._connection.getresponse()
            return Answer(method, answer.status, answer.headers, answer.read().decode())
        except (OSError, HTTPException) as error:
            self.close()
            raise Unanswered from error


@dataclass
class Seen:
    """What a client was told."""

    answers: Counter[int] = field(default_factory=Counter)
    """Refusals and failures, by status; 0 is an answer that did not come."""
    untyped: list[str] = field(default_factory=list)
    """Answers nobody should ever get: other statuses, refusals without a reason, 503 without `Retry-After`."""
    slowest: float = 0.0
    """Seconds to the slowest answer."""

    def took(self, answer: Answer, good: int, seconds: float) -> None:
        """Note one answer, `good` being the status that was hoped for."""
        self.slowest = max(self.slowest, seconds)
        if answer.status_code != good:
            self.answers[answer.status_code] += 1
            if not _is_typed(answer):
                self.untyped.append(f"{answer.method} {answer.status_code} {answer.text[:100]}")


@dataclass
class _Way:
    """A file on its way in."""

    data: bytes
    where: str = ""
    promised: int = 0


class Sender:
    """Sends one file after the other to one front end."""

    def __init__(
        self,
        front: Front,
        *,
        step: int | None = None,
        patience: float = PATIENCE,
        stopping: threading.Event | None = None,
    ) -> None:
        """`step`: bytes one request carries at most, by default all; `patience`: seconds one answer may take.

        `stopping`, once set, ends what is under way.
        """
        headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {front.key}"}
        self._wire = Wire(front.port, headers, patience)
        self._catalog = front.archive.catalog
        self._step, self._stopping = step, stopping or threading.Event()
        self.seen = Seen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    def send(self, data: bytes, until: float = PATIENCE) -> str:
        """Bring one file in; its slide's id. Raises `TimeoutError` after so many seconds, or when told to stop."""
        end, way = time.monotonic() + until, _Way(data)
        while time.monotonic() < end and not self._stopping.is_set():
            try:
                if sid := self._go_on(way):
                    return sid
            except (Unanswered, StorageFailed):
                self.seen.answers[0] += 1
            self._stopping.wait(PAUSE)
        raise TimeoutError

    def _go_on(self, way: _Way) -> str | None:
        """Announce, or ask how much is there and send what comes next; the slide's id once there is one."""
        if not way.where:
            way.where = self._ask(201, "POST", "/uploads", announcement(way.data)).headers.get("Location", "")
            return None if not way.where else self._go_on(way)
        asked = self._ask(200, "HEAD", way.where, {})
        if asked.status_code != 200:
            return None
        at = int(asked.headers["Upload-Offset"])
        if at < way.promised:
            self.seen.untyped.append("HEAD: an acknowledged offset decreased")
        if at == len(way.data) and (sid := self._catalog.upload(way.where.rpartition("/")[2]).sid):
            return sid  # its answer was lost
        piece = way.data[at : at + (self._step or len(way.data))]
        answer = self._ask(204, "PATCH", way.where, {**CHUNK, "Upload-Offset": str(at)}, piece)
        way.promised = max(at, int(answer.headers.get("Upload-Offset", at)))
        return answer.headers.get("Coverslip-Slide")

    def _ask(self, good: int, method: str, where: str, headers: dict[str, str], content: bytes | None = None) -> Answer:
        began = time.monotonic()
        answer = self._wire.ask(method, where, headers, content)
        self.seen.took(answer, good, time.monotonic() - began)
        return answer


def _is_typed(answer: Answer) -> bool:
    if answer.status_code not in TYPED or (answer.status_code == 503 and "Retry-After" not in answer.headers):
        return False
    says_why = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    return says_why or answer.method == "HEAD"
