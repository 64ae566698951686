"""The way of the many tiles: from the parser to the socket in one turn of the event loop and one write.

uvicorn makes a task, a dozen objects and two writes of every answer; for a tile that is most of the cost, and the first
of two writes wakes the client for nothing. Whatever `Quick.answer` cannot answer goes uvicorn's way, unchanged.
"""

from __future__ import annotations

from asyncio import Protocol, Transport
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.edge import Edge
from service.guard import MOST_CONNECTIONS, Guarded
from service.quick import Quick, Ready, Regular

RECEIVE_BYTES: Final = 2 << 20
"""Of a connection, sent and not read yet; the kernel doubles it for its own needs."""


def express(edge: Edge, connections: int = MOST_CONNECTIONS) -> type[Protocol]:
    """uvicorn's HTTP protocol with bounds and a shorter way for tiles; what `uvicorn.run` takes as `http`."""

    class Bound(Express):
        quick = edge.tiles.quick
        most_connections = connections

    return Bound


class Express(Guarded):
    """uvicorn's protocol; answers a tile as soon as its request's headers are complete."""

    quick: Quick
    _answered = False
    """The request under way has its answer: a body, should it bring one, is dropped."""
    _own: list[tuple[bytes, bytes]] | None = None
    _lines = b""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Let no more lie in the kernel than a fault may cost the client again: it grows to 32 MiB by itself."""
        super().connection_made(transport)
        self._regular = Regular()
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES)

    def on_message_begin(self) -> None:
        """A new request; what uvicorn makes for its application is made when it is its turn."""
        self._answered = False
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self.head_begins()

    def on_headers_complete(self) -> None:
        """Answer at once, or leave it to the application."""
        self.head_complete()
        answer = self._at_once() if self._is_plain_get() else None
        if answer is None:
            self._leave_to_uvicorn()
        else:
            self._answer(answer)

    def _leave_to_uvicorn(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        # an answer given at once, to a request that came in the same breath, has set the clock already
        self._unset_keepalive_if_required()
        HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        """Part of a body."""
        if self._answered:
            self.taken = 0
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        if self._answered:
            self.taken = 0
        else:
            super().on_message_complete()

    def _at_once(self) -> Ready | None:
        return self.quick.answer(self.url, self.headers, self.scheme or "http", self._regular)

    def _is_plain_get(self) -> bool:
        """Whether nothing stands before the request, and the connection goes on after it."""
        return (
            self.parser.get_method() == b"GET"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and not self.expect_100_continue
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.transport.is_closing()
        )

    def _answer(self, answer: Ready) -> None:
        self._answered = True
        self.transport.write(b"".join((answer.head, self._own_lines(), b"\r\n", answer.body)))
        self.on_response_complete()

    def _own_lines(self) -> bytes:
        """The server's own headers as they go on the wire; they change once a second."""
        if self._own is not self.server_state.default_headers:
            self._own = self.server_state.default_headers
            self._lines = b"".join([b"%b: %b\r\n" % pair for pair in self._own])
        return self._lines
