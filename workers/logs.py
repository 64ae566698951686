"""Log lines as JSON with ids, codes and numbers only: whatever else a library wants to say is left out."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# fmt: off
SAYABLE = frozenset((
    "event", "level", "timestamp", "logger", "job", "sid", "worker", "code", "where", "stage", "attempt", "token",
    "count", "seconds", "status", "layers", "error",
))
# fmt: on
"""The only keys a line may have."""


def only_sayable(logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every key nobody listed; of an exception keep the class, never the text."""
    information = line.pop("exc_info", None)
    if isinstance(information, BaseException):
        line["error"] = type(information).__name__
    elif isinstance(information, tuple) and information[0] is not None:
        line["error"] = information[0].__name__
    elif information is True and (kind := sys.exc_info()[0]) is not None:
        line["error"] = kind.__name__
    return {key: value for key, value in line.items() if key in SAYABLE}


def configure(level: str) -> None:
    """Send our own lines and those of every library through the same filter to standard error."""
    shared: tuple[Any, ...] = (
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            only_sayable,
            structlog.processors.JSONRenderer(),
        ],
        use_get_message=False,  # a library's template only: what it would fill in may be a value
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("kombu", "amqp", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry ids only."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
