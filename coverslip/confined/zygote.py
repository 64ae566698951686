"""The process confined children are forked from: everything imported, one thread, no secrets, no open files.

Run as `python -m coverslip.confined.zygote FD PARENT MODULE…`; forking here costs milliseconds where a fresh
interpreter with numpy and the readers costs a second. It never looks at a slide itself.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from coverslip.confined import calls, layers, libc
from coverslip.confined.layers import Reach
from coverslip.confined.messages import Confined, Failed, Message, Outcome, Reached, Request, Task, place
from coverslip.errors import ChildCrashed, ChildOutOfMemory, CoverslipError, LimitExceeded, StorageFailed, StorageFull
from coverslip.progress import Progress, Stage

MACHINE_FAULTS = {
    errno.EFBIG: LimitExceeded.code,
    errno.ENOSPC: StorageFull.code,
    errno.EDQUOT: StorageFull.code,
    errno.EIO: StorageFailed.code,
    errno.EROFS: StorageFailed.code,
}
"""What the file system says that is no fault of the slide's (but for EFBIG: its output passed the limit)."""
QUIET = 0.2
"""Seconds between two reports of one stage."""

Work = Callable[[Task, Progress], Outcome]


def main(arguments: list[str]) -> int:
    """Serve fork requests on the inherited socket until its other end closes."""
    libc.die_with_parent()
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    handle, parent, *modules = arguments
    if os.getppid() != int(parent):  # it died before we could ask to die with it
        return 1
    preload(modules)
    with socket.socket(fileno=int(handle)) as door:
        door.send(b'{"ready": true}')
        while serve_one(door):
            pass
    return 0


def preload(modules: list[str]) -> None:
    """Import what children will need, and make the list of calls they will be held to."""
    gc.disable()  # loading makes much that stays and little garbage: looking for it would take an eighth of the time
    calls.program()
    for name in modules:
        importlib.import_module(name)
    gc.freeze()  # keeps the shared pages shared
    gc.enable()


def serve_one(door: socket.socket) -> bool:
    """Fork one child and report its end; False when there is nothing more to do."""
    asked, handles, _, _ = socket.recv_fds(door, 16, 2)
    if not asked or len(handles) != 2:
        return False
    child = os.fork()
    if child == 0:
        run_child(*handles)
    for handle in handles:
        os.close(handle)
    watched = os.pidfd_open(child)  # before it is reaped: a number may be used again, this cannot
    socket.send_fds(door, [json.dumps({"pid": child}).encode()], [watched])
    os.close(watched)
    _, status, usage = os.wait4(child, 0)
    cost = {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
    door.send(json.dumps(cost).encode())
    return True


def run_child(handle: int, pipe: int) -> None:
    """Confine ourselves, do the work, say the outcome, and leave without ever returning."""
    status = 1
    try:
        libc.die_with_parent()
        libc.prctl(libc.PR_SET_DUMPABLE, 1)  # or our supervisor could not look at us, nor we say who we are
        with open(handle, "rb") as file:
            request = Request.decoded(file.read())
        status = work_confined(request, only_keep(pipe))
    finally:
        os._exit(status)


def work_confined(request: Request, pipe: int) -> int:
    """Apply the layers and call the work; 0 when a message says how it ended."""
    try:
        work = prepared(request)
        holding = layers.apply(request.limits, reach(request.task), strict=request.strict)
        say(pipe, Confined(layers=holding))
        say(pipe, work(request.task, reporter(pipe)))
    except CoverslipError as error:
        say(pipe, Failed(code=error.code, where=place(error.where)))
    except MemoryError:
        say(pipe, Failed(code=ChildOutOfMemory.code))
    except OSError as error:
        code = MACHINE_FAULTS.get(error.errno or 0)
        say(pipe, Failed(code=code) if code else crash(error))
    except Exception as error:  # noqa: BLE001  the outermost edge: nothing of it but its place goes on
        say(pipe, crash(error))
    return 0


def prepared(request: Request) -> Work:
    """What is to be called, where paths mean what they did to whoever asked."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(request.task.out_dir)
    os.chdir(request.cwd)
    module, _, name = request.work.partition(":")
    work: Work = getattr(sys.modules[module], name)
    return work


def reach(task: Task) -> Reach:
    """The files of a task."""
    also = (*task.also, Path(task.policy)) if "/" in task.policy else task.also
    return Reach(task.source, task.out_dir, (*also, task.other) if task.other else also)


def reporter(pipe: int) -> Progress:
    """A progress callback that says every stage, and within a stage not too often."""
    last: tuple[Stage | None, float] = (None, 0.0)

    def report(stage: Stage, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[0] or now - last[1] >= QUIET:
            last = stage, now
            say(pipe, Reached(stage=stage, done=min(max(done, 0.0), 1.0)))

    return report


def say(pipe: int, message: Message) -> None:
    """Write one message as one line."""
    line = msgspec.json.encode(message) + b"\n"
    while line:
        line = line[os.write(pipe, line) :]


def crash(error: Exception) -> Failed:
    """Where in our own sources an unexpected error arose and what kind it is, never what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    line = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Failed(code=ChildCrashed.code, where=place(f"{line} {type(error).__name__}"))


def only_keep(pipe: int) -> int:
    """Close every inherited file but `pipe` and return its new number; what libraries print goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    os.dup2(pipe, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    return 3


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
