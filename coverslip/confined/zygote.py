"""The process confined children are forked from: everything imported, one thread, no secrets, no open files.

Run as `python -m coverslip.confined.zygote FD PARENT MODULE…`; forking here costs milliseconds where a fresh
interpreter with numpy and the readers costs a second. It never looks at a slide itself.
"""

from __future__ import annotations

import contextlib
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
from datetime import timedelta
from pathlib import Path

import msgspec

from coverslip.confined import layers, libc
from coverslip.confined.layers import Limits, Reach
from coverslip.confined.messages import Confined, Failed, Message, Outcome, Reached, Task, place
from coverslip.errors import ChildCrashed, ChildOutOfMemory, CoverslipError, LimitExceeded, StorageFailed, StorageFull
from coverslip.progress import Progress, Stage

MAX_REQUEST = 64 << 10
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
    """Import what children will need, libseccomp's lookup included: it starts programs, which a child may not."""
    with contextlib.suppress(ImportError, RuntimeError):
        importlib.import_module("pyseccomp")
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # keeps the shared pages shared


def serve_one(door: socket.socket) -> bool:
    """Fork one child and report its end; False when there is nothing more to do."""
    request, handles, _, _ = socket.recv_fds(door, MAX_REQUEST, 1)
    if not request or not handles:
        return False
    child = os.fork()
    if child == 0:
        run_child(json.loads(request), handles[0])
    os.close(handles[0])
    watched = os.pidfd_open(child)  # before it is reaped: a number may be used again, this cannot
    socket.send_fds(door, [json.dumps({"pid": child}).encode()], [watched])
    os.close(watched)
    _, status, usage = os.wait4(child, 0)
    cost = {"status": status, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}
    door.send(json.dumps(cost).encode())
    return True


def run_child(request: dict[str, object], pipe: int) -> None:
    """Confine ourselves, do the work, say the outcome, and leave without ever returning."""
    status = 1
    try:
        libc.die_with_parent()
        pipe = only_keep(pipe)
        status = work_confined(request, pipe)
    finally:
        os._exit(status)


def work_confined(request: dict[str, object], pipe: int) -> int:
    """Apply the layers and call the work; 0 when a message says how it ended."""
    try:
        task, limits, reach, work = unpack(request)
        holding = layers.apply(limits, reach, strict=bool(request["strict"]))
        say(pipe, Confined(layers=holding))
        say(pipe, work(task, reporter(pipe)))
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


def unpack(request: dict[str, object]) -> tuple[Task, Limits, Reach, Work]:
    """Typed values out of our own supervisor's request."""
    out_dir = Path(str(request["out_dir"]))
    task = Task(
        Path(str(request["source"])),
        out_dir,
        str(request["policy"]),
        bytes.fromhex(str(request["key"])),
        str(request["sha256"]),
        bool(request["complete"]),
        tuple(Path(name) for name in json.loads(str(request["also"]))),
        tuple(json.loads(str(request["words"]))),
    )
    limits = Limits(
        memory=int(str(request["memory"])),
        cpu=timedelta(seconds=float(str(request["cpu"]))),
        wall=timedelta(0),
        output=int(str(request["output"])),
    )
    os.environ["TMPDIR"] = tempfile.tempdir = str(out_dir)
    also = (*task.also, Path(task.policy)) if "/" in task.policy else task.also
    os.chdir(str(request["cwd"]))
    module, _, name = str(request["work"]).partition(":")
    return task, limits, Reach(task.source, out_dir, also), getattr(sys.modules[module], name)


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
