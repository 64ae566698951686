"""What somebody nobody knows yet may cost: bytes of a request's head, time to send it, connections, unread answers.

httptools gathers a head in memory for as long as one comes, and uvicorn's clock starts with the first answer: its
`h11_max_incomplete_event_size` and `timeout_keep_alive` see neither. Both are counted here, on every connection.
"""

from __future__ import annotations

import resource
from asyncio import TimerHandle, Transport
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from coverslip.errors import CoverslipError
from service.errors import HeadLate, HeadTooLarge, Malformed, Overloaded, answer

HEAD_BYTES: Final = 64 << 10
"""Of request line and headers together, and of a chunked body's trailers: many times what browsers send."""
HEAD_SECONDS = 10.0
"""From the first moment a head is waited for until it is complete; between two requests uvicorn's clock counts."""
UNREAD_SECONDS = 120.0
"""How long an answer may lie here because its receiver takes none of it."""
FAREWELL = 1.0
"""Seconds in which what still comes from who was refused is thrown away: a reset would take the refusal with it."""
FAREWELL_BYTES: Final = 1 << 20
"""As much of it at most."""
MOST_CONNECTIONS: Final = 1000
FILES_BESIDE: Final = 400
"""Open files that are no connections: pyramids, catalogue, uploads."""


def connections_to_allow(wanted: int) -> int:
    """As many connections as wanted, or as this process may have files open; takes all the files it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, wanted + FILES_BESIDE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(1, min(wanted, hard - FILES_BESIDE))


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol, with bounds for who has shown no credential."""

    most_connections = MOST_CONNECTIONS
    _clock: TimerHandle | None = None
    """Runs while a head is waited for and nothing else would end the connection."""
    _unread: TimerHandle | None = None
    _piece = 0
    """Bytes fed last."""
    _first = 0
    """Bytes of the piece the head under way began in: at most so many of it are its own."""
    taken = 0
    """Bytes since that piece: a head's or trailers', nothing else grows in the parser. Any of a body sets it back."""
    _begun = False
    _refusal: CoverslipError | None = None
    _leaving = False
    _thrown = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A new connection: refused when there are too many, else its first head is waited for."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(Overloaded("There are too many connections. Try again in a moment."), stay=0)
        else:
            self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of a connection."""
        self._stop_clock()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes, fed in pieces no longer than a head may be: so no head grows far beyond that unseen."""
        if len(data) <= HEAD_BYTES:
            return self._feed(data)
        for at in range(0, len(data), HEAD_BYTES):
            self._feed(data[at : at + HEAD_BYTES])
        return None

    def _feed(self, piece: bytes) -> None:
        if self._leaving or self.parser is None:
            return self._throw_away(len(piece))
        self._piece = len(piece)
        self.taken += self._piece
        super().data_received(piece)
        if self.taken > HEAD_BYTES:
            self._refuse(HeadTooLarge())
        elif self.timeout_keep_alive_task is None and self._clock is None and self._is_idle():
            self._start_clock()
        return None

    def _throw_away(self, count: int) -> None:
        self._thrown += count
        if self._thrown > FAREWELL_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A new request."""
        self.head_begins()
        super().on_message_begin()

    def head_begins(self) -> None:
        """To be called in `on_message_begin`."""
        self._begun, self._first, self.taken = True, self._piece, 0

    def head_complete(self) -> None:
        """To be called first in `on_headers_complete`; raises `HeadTooLarge`, which ends the parsing."""
        self._begun = False
        if self._clock is not None:
            self._stop_clock()
        if self._first + self.taken > HEAD_BYTES:
            own = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if own > HEAD_BYTES:
                self._refusal = HeadTooLarge()
                raise self._refusal
        self.taken = 0

    def on_headers_complete(self) -> None:
        """The end of a head."""
        self.head_complete()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body: whoever wants it bounds it."""
        self.taken = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._stop_clock()
        self.taken = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says when the parser gives up, in our words and with our reason."""
        self._refuse(self._refusal or Malformed("The request does not parse as HTTP/1.1."))

    def pause_writing(self) -> None:
        """The receiver does not keep up."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        if self.flow is not None:
            super().resume_writing()

    def _is_idle(self) -> bool:
        """Whether nothing waits for an answer."""
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _start_clock(self) -> None:
        self._clock = self.loop.call_later(HEAD_SECONDS, self._late)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        self._clock = None
        if self._begun and self._is_idle():
            self._refuse(HeadLate())
        elif self._is_idle():
            self.transport.close()

    def _refuse(self, error: CoverslipError, stay: float | None = None) -> None:
        """Say no and leave; where answers are due, where a no would be taken for one of them, leave after the first."""
        if self._leaving or self.transport.is_closing():
            return
        self._leaving = True
        self._stop_clock()
        self._unset_keepalive_if_required()
        if not self._is_idle():
            self.pipeline.clear()
            self.cycle.keep_alive = False
            if self.cycle.more_body:
                self.transport.close()  # whoever waits for the rest of it hears that nothing comes
            return
        said = answer(error)
        headers = [*self.server_state.default_headers, *said.raw_headers, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[said.status_code], lines, bytes(said.body)))
        if stay is None and self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(FAREWELL, self.transport.close)
        else:
            self.transport.close()
