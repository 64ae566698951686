"""What every process of ours logs: constants, ids and places. A value has no way in; a log that fails stops nobody."""

import asyncio
import json
import logging
import os
import subprocess
import sys

import pytest

from coverslip import logs

SECRET = "Beate Maier"


@pytest.fixture
def lines(monkeypatch):
    """What is written to standard error from now on; `lines()` reads it."""
    root, hooks = logging.getLogger(), (sys.excepthook, sys.unraisablehook)
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    stream = Broken()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("threading.excepthook", None)
    logs.configure("INFO")
    yield stream
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook = hooks


class Broken:
    """A stream that refuses as many writes as it is told to."""

    def __init__(self):
        self.refuses, self.text = 0, ""

    def write(self, text):
        if self.refuses:
            self.refuses -= 1
            raise OSError(28, "No space left on device")
        self.text += text

    def flush(self):
        pass

    def read(self):
        return [json.loads(line) for line in self.text.splitlines()]


def failing():
    raise KeyError(SECRET)


LIBRARIES = {
    "an argument": lambda log: log.error("Task %s failed", SECRET),
    "an attribute": lambda log: log.error("failed", extra={"where": SECRET, "data": SECRET}),
    "an exception": lambda log: log.error("failed", exc_info=KeyError(SECRET)),
    "an exception as message": lambda log: log.error(KeyError(SECRET)),
    "anything as message": lambda log: log.error([SECRET]),
    "too few arguments": lambda log: log.error("%s %s", SECRET),
    "an argument that cannot be shown": lambda log: log.error("%d", SECRET),
}


@pytest.mark.parametrize("name", ["celery.worker", "asyncio", "somebody"])
@pytest.mark.parametrize("said", LIBRARIES.values(), ids=LIBRARIES)
def test_a_library_s_values_are_left_out(lines, name, said):
    """Whoever it is; level, logger and moment are told."""
    said(logging.getLogger(name))
    assert SECRET not in lines.text
    [line] = lines.read()
    assert (line["level"], line["logger"]) == ("error", name)


def test_a_message_that_may_be_filled_in_is_not_repeated(lines):
    """Where it was said is; a library that says templates is heard."""
    logging.getLogger("somebody").error(f"cannot read {SECRET}")
    logging.getLogger("celery.worker").error("Connected to %s", SECRET)
    strange, known = lines.read()
    assert (strange["event"], strange["where"].partition(":")[0]) == ("not repeated", "test_logs.py")
    assert known["event"] == "Connected to %s"


def test_tasks_nobody_asked_about(lines):
    """asyncio shows a task with its exception, text and all; class and places remain."""

    async def forgets():
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        del task

    async def fails():
        failing()

    asyncio.run(forgets())
    assert SECRET not in lines.text
    [line] = lines.read()
    assert line["error"] == "KeyError"
    assert line["at"][-1].startswith("test_logs.py:")


def test_what_nobody_caught(lines):
    """Neither a program's end nor a destructor prints an exception's text."""

    class Bad:
        def __del__(self):
            failing()

    del [Bad()][0]
    try:
        failing()
    except KeyError:
        sys.excepthook(*sys.exc_info())
    assert SECRET not in lines.text
    assert [line["error"] for line in lines.read()] == ["KeyError", "KeyError"]


def test_a_line_that_cannot_be_written_is_lost(lines):
    """With a disk that is full for a moment Python would print the arguments when there is room again."""
    lines.refuses = 1
    logging.getLogger("celery.worker").error("Task %s failed", SECRET)
    logging.getLogger("coverslip").error("next")
    assert [line["event"] for line in lines.read()] == ["next"]


def test_an_error_of_the_system_has_its_name(lines):
    """`EADDRINUSE` helps whoever starts a second service."""
    logging.getLogger("somebody").error(OSError(98, SECRET))
    assert lines.read()[0]["code"] == "EADDRINUSE"


def test_ours_say_what_is_listed(lines):
    """A key nobody listed is dropped, and what is no text or number is told by its kind."""
    said = {"job": "1", "count": 2, "filename": SECRET, "where": OSError(SECRET)}
    logging.getLogger("coverslip").info("done", extra={logs.SAID: said})
    [line] = lines.read()
    assert {key: line[key] for key in line.keys() & {"job", "count", "filename", "where"}} == {
        "job": "1", "count": 2, "where": "OSError",
    }  # fmt: skip


PROGRAM = """
import logging, sys
from {module} import command
sys.argv = ["program"]
command.main()
logging.getLogger("somebody").error({secret!r})
"""


@pytest.mark.parametrize("module", ["service", "workers"])
def test_both_programs_have_the_filter(module, tmp_path):
    """Whoever serves and whoever works: here in a folder that cannot be, so that neither stays."""
    (tmp_path / "file").touch()
    environment = {**os.environ, "COVERSLIP_DATA_DIR": str(tmp_path / "file" / "folder")}
    program = [sys.executable, "-c", PROGRAM.format(module=module, secret=SECRET)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert SECRET not in done.stderr
    assert '"not repeated"' in done.stderr
