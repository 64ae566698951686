"""A worker's log lines: events with ids, codes and numbers, through the filter every process of ours has."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

from coverslip import logs


def _as_record(logger: object, method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    event, raised = line.pop("event"), line.pop("exc_info", None)
    return {"msg": event, "exc_info": raised, "extra": {logs.SAID: line}}


def configure(level: str) -> None:
    """Send our own lines and those of every library through the filter to standard error."""
    logs.configure(level)
    structlog.configure(
        processors=[_as_record], logger_factory=structlog.stdlib.LoggerFactory(), cache_logger_on_first_use=True
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry ids only."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
