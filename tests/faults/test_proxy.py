"""A proxy that ends while others come in again and again leaves nobody in mid-way."""

import asyncio
import socket
import threading
from contextlib import suppress

from tests.faults.proxy import Proxy


def test_whoever_connects_while_it_ends_is_turned_away():
    """A task without a loop would fail whatever test comes next."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        over = threading.Event()

        def come_in(port):
            while not over.is_set():
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as line:
                    line.recv(1)

        for _ in range(4):
            over.clear()
            with Proxy(silent.getsockname()[1]) as proxy:
                guests = [threading.Thread(target=come_in, args=(proxy.port,)) for _ in range(4)]
                for guest in guests:
                    guest.start()
            left = asyncio.all_tasks(proxy._loop)
            over.set()
            for guest in guests:
                guest.join()
            assert not left
