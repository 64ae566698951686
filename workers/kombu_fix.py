"""A failed acknowledgement must be noticed: kombu swallows the connection error and the worker then waits for ever.

Measured on kombu 5.7.0: 6 of 12 broker restarts left a worker idle in epoll with no broker socket; 0 of 12 once the
error is raised again (operations.md; celery#10205, kombu#2498). Remove when kombu does this itself: the test
`test_kombu_still_swallows` says when.
"""

from __future__ import annotations

from typing import Any

import kombu
from kombu.message import Message

from workers import logs

FIXES = ((5, 5), (5, 8))
"""From the first of these versions up to, not including, the last: where we read the code we replace."""

log = logs.get("workers.kombu")


def apply() -> bool:
    """Replace the two methods; False, and a line in the log, for a kombu nobody has looked at."""
    lowest, beyond = FIXES
    if not lowest <= tuple(kombu.VERSION)[:2] < beyond:
        log.warning("kombu of this version is left as it is")
        return False
    Message.ack_log_error = _ack  # type: ignore[method-assign]
    Message.reject_log_error = _reject  # type: ignore[method-assign]
    return True


def _ack(self: Any, logger: object, errors: tuple[type[Exception], ...], multiple: bool = False) -> None:  # noqa: ANN401
    try:
        self.ack(multiple=multiple)
    except errors as error:
        log.warning("could not acknowledge", error=type(error).__name__)
        raise


def _reject(self: Any, logger: object, errors: tuple[type[Exception], ...], requeue: bool = False) -> None:  # noqa: ANN401
    try:
        self.reject(requeue=requeue)
    except errors as error:
        log.warning("could not reject", error=type(error).__name__)
        raise
