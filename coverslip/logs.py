"""Log lines as JSON with ids, codes and numbers only: whatever else a library wants to say is left out.

What cannot be written is lost without a word: no work fails for a log's sake.
"""

from __future__ import annotations

import errno
import json
import logging
import sys
import threading
from datetime import UTC, datetime
from traceback import walk_tb
from types import TracebackType
from typing import Final

SAYABLE: Final = frozenset((
    "job", "sid", "worker", "code", "where", "at", "error", "stage", "attempt", "token", "count", "seconds", "status",
    "layers",
))  # fmt: skip
"""The only keys a line of ours may have beside its event, level, logger and moment."""
SAID: Final = "coverslip"
"""The attribute of a record that holds them; what else stands in one is a library's."""
HEARD: Final = frozenset((
    "coverslip", "service", "workers", "celery", "kombu", "alembic", "sqlalchemy", "uvicorn",
))  # fmt: skip
"""Whose messages are templates, filled in with arguments that we leave out. Others' may be filled in already: asyncio
shows the exceptions and arguments of its tasks."""
QUIET: Final = ("kombu", "amqp", "alembic", "uvicorn")
"""Those who have to say too much below a warning."""
FRAMES: Final = 8

log = logging.getLogger(__name__)


class OnlySayable(logging.Formatter):
    """One line of JSON; of an exception its class and its places in the code, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        """An event, where it may be told, and what of ours stands beside it."""
        line: dict[str, object] = {
            "event": record.msg if _is_template(record) else "not repeated",
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if not _is_template(record):
            line["where"] = f"{record.filename}:{record.lineno}"
        raised = record.exc_info[1] if record.exc_info else record.msg
        if isinstance(raised, BaseException):
            line |= about(raised)
        line |= {key: value for key, value in getattr(record, SAID, {}).items() if key in SAYABLE}
        return json.dumps(line, default=lambda value: type(value).__name__)


def about(error: BaseException) -> dict[str, object]:
    """What may be said of an exception: its class, the system's error number by name, and the innermost `FRAMES` places
    it came by. Its text may hold a value; a place in the code cannot.
    """
    told: dict[str, object] = {"error": type(error).__name__}
    if isinstance(error, OSError) and error.errno is not None:
        told["code"] = errno.errorcode.get(error.errno, "")
    places = [f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return told | {"at": places[-FRAMES:]} if places else told


def _is_template(record: logging.LogRecord) -> bool:
    return isinstance(record.msg, str) and record.name.partition(".")[0] in HEARD


def configure(level: str) -> None:
    """Send our own lines, those of every library, and what nobody caught through one filter to standard error."""
    logging.raiseExceptions = False  # Python would print the arguments of a line that could not be written
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OnlySayable())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.excepthook = _uncaught
    threading.excepthook = lambda ended: _uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)
    sys.unraisablehook = lambda ended: _uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, at: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        log.critical("uncaught", exc_info=(kind, error if error is not None else kind(), at))
