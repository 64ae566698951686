"""A network that can be told to misbehave: one TCP port in front of a Unix socket or of another port."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""
_LENGTH = re.compile(rb"^content-length: *([0-9]+)", re.IGNORECASE | re.MULTILINE)
CODES = {500: "InternalError", 503: "SlowDown"}


class Proxy:
    """Passes bytes until told to stall them, to refuse connections, to reset those there are, or to answer itself."""

    def __init__(self, target: Path | int, held: socket.socket | None = None) -> None:
        """`held`: where it listens; on this host without one."""
        self._target = target
        self._held = held or socket.create_server(("127.0.0.1", 0))
        self.port = self._held.getsockname()[1]
        self.refusing = False
        self.saying: int | None = None
        """The HTTP status new requests are answered with, as an S3 server would."""
        self.passing: int | None = None
        """Bytes from clients that still go through; then every connection is reset."""
        self.passed = 0
        """Bytes from clients that went through."""
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, sock=self._held)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
        self._held.close()

    def stall(self) -> None:
        """Connections stay open and nothing moves."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def refuse(self) -> None:
        """New connections are closed, old ones reset."""
        self.refusing = True
        self.reset()

    def say(self, status: int) -> None:
        """Every request is answered with an error; nothing gets through."""
        self.saying = status
        self.reset()

    def cut_after(self, size: int) -> None:
        """The next bytes still go through, then everything is reset: once."""
        self.passing = size

    def heal(self) -> None:
        """Everything moves again, what was held back first."""
        self.refusing, self.saying, self.passing = False, None, None
        self._loop.call_soon_threadsafe(self._flowing.set)

    def reset(self) -> None:
        """Cut every connection with RST."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in tuple(self._open):
            if not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()

    async def _end(self) -> None:
        """Nobody new comes in, and nobody is left in mid-way: a task without a loop fails the test that comes next."""
        self._server.close()
        self._flowing.set()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for writer in tuple(self._open):
                writer.transport.abort()
            _, late = await asyncio.wait(others, timeout=1)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.refusing:
                return
            if self.saying is not None:
                await self._say(reader, writer, self.saying)
                return
            inner_reader, inner_writer = await self._connect()
            await asyncio.gather(self._copy(reader, inner_writer, counted=True), self._copy(inner_reader, writer))
        except (OSError, asyncio.IncompleteReadError):  # the other side is away: a closed connection says so
            pass
        except asyncio.CancelledError:  # the end of us: nobody has to be told
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, int):
            return await asyncio.open_connection("127.0.0.1", self._target)
        return await asyncio.open_unix_connection(str(self._target))

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        """Take one request with its body and answer it as a server does that is in trouble."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = _LENGTH.search(head)
        waits = b"100-continue" in head  # the body comes when we ask for it
        left = int(found[1]) if found and not waits else 0
        while left > 0 and (data := await reader.read(min(left, 1 << 16))):
            left -= len(data)
        body = b'<?xml version="1.0"?><Error><Code>%b</Code></Error>' % CODES[status].encode()
        told = b"HTTP/1.1 %d X\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(told % (status, len(body)) + body)
        await writer.drain()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                if counted and self._is_the_end(len(data)):
                    self._cut()
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    def _is_the_end(self, size: int) -> bool:
        self.passed += size
        if self.passing is None:
            return False
        self.passing -= size
        if self.passing > 0:
            return False
        self.passing = None
        return True
