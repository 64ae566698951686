"""Celery's consumer, a little less patient: a broker that is back is not left alone for half a minute."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker import consumer

RETRY_FIRST = 0.5
RETRY_STEP = 0.5
RETRY_MOST = 5.0
"""Seconds from one try to connect to the next. Celery's own go up to thirty and cannot be set: after a broker was away
for some minutes nobody would work for as long again (operations.md, target 7)."""


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """What connects to the broker and takes messages."""

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401  Celery's own
        """Try until there is a connection."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RETRY_FIRST,
            interval_step=RETRY_STEP,
            interval_max=RETRY_MOST,
        )
        return super().ensure_connected(conn)
