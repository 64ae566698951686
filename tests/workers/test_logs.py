"""A log line carries ids, codes and numbers; values have no way in."""

import json
import logging
import subprocess
import sys

LINES = """
import logging
from workers import logs
logs.configure("INFO")
ours = logs.get("workers.test")
ours.info("finished", job="id", sid="id", filename="SECRET", path="SECRET")
try:
    raise KeyError("SECRET")
except KeyError:
    ours.exception("broken", job="id")
    logging.getLogger("sqlalchemy").exception("broken too")
    more = {"data": {"args": "SECRET"}}
    logging.getLogger("celery").error("Task raised %s: %r", "SECRET", "SECRET", exc_info=True, extra=more)
"""


def test_unlisted_keys_and_exception_texts_are_dropped():
    """Ours and every library's lines alike; an exception leaves its class."""
    told = subprocess.run([sys.executable, "-c", LINES], capture_output=True, text=True, check=True)
    assert "SECRET" not in told.stderr + told.stdout
    lines = [json.loads(line) for line in told.stderr.splitlines()]
    assert [line.get("error") for line in lines] == [None, "KeyError", "KeyError", "KeyError"]
    assert lines[0].keys() == {"event", "job", "sid", "level", "logger", "timestamp"}


def test_chatty_libraries_are_quiet():
    """What kombu has to say about messages is nobody's business below a warning."""
    assert logging.getLogger("kombu").level in (logging.NOTSET, logging.WARNING)
