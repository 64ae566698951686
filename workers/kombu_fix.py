"""What kombu does when its broker connection breaks, mended: a worker must notice, not wait for ever.

Measured on kombu 5.7.0 and redis-py 8.1: 6 of 12 broker restarts left a worker idle in epoll with no broker socket, 0
of 12 once a failed acknowledgement was raised again (operations.md; celery#10205, kombu#2498). Workers that started
while connections were cut stood still now and then, for the reason told at `_receive`
(docs/decisions/0010-nobody-waits-in-the-event-loop.md), and 1 of about 70 broker restarts under work ended a worker,
for the reason told at `apply`. Remove what kombu does itself: tests/workers/test_kombu_fix.py says when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu
from kombu.message import Message
from kombu.transport import redis

from coverslip.logs import about
from workers import logs

FIXES = ((5, 5), (5, 8))
"""From the first of these versions up to, not including, the last: where we read the code we replace."""

log = logs.get("workers.kombu")


def apply() -> bool:
    """Replace three methods and turn off one habit; False, and a line in the log, for a kombu nobody has looked at.

    The habit: a channel that closes with an unacknowledged message puts it back. After a broken connection Celery
    collects the connection first, so there is nothing left to ask for an address, and the AttributeError of that ends
    the worker. A hint needs no putting back: the sweeper misses it and sends another.
    """
    lowest, beyond = FIXES
    if not lowest <= tuple(kombu.VERSION)[:2] < beyond:
        log.warning("kombu of this version is left as it is")
        return False
    Message.ack_log_error = _ack  # type: ignore[method-assign]
    Message.reject_log_error = _reject  # type: ignore[method-assign]
    redis.Channel._receive = _receive  # type: ignore[method-assign]
    redis.Channel.do_restore = False
    return True


def _ack(self: Any, logger: object, errors: tuple[type[Exception], ...], multiple: bool = False) -> None:  # noqa: ANN401
    try:
        self.ack(multiple=multiple)
    except errors as error:
        log.warning("could not acknowledge", **about(error))
        raise


def _reject(self: Any, logger: object, errors: tuple[type[Exception], ...], requeue: bool = False) -> None:  # noqa: ANN401
    try:
        self.reject(requeue=requeue)
    except errors as error:
        log.warning("could not reject", **about(error))
        raise


_receive_what_comes: Callable[[Any], bool] = redis.Channel._receive


def _receive(self: Any) -> bool:  # noqa: ANN401
    """Take what was published, if anything was.

    kombu reads a message without asking whether there is one, and redis-py then waits for it without a limit: an event
    loop that was woken because a connection broke stands still until somebody publishes something.
    """
    connection = self.subclient.connection
    try:
        waits = connection is not None and connection._sock is not None and connection.can_read(timeout=0)
    except self.connection_errors:
        self._in_listen = None
        raise
    return bool(waits) and _receive_what_comes(self)
