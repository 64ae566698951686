"""The process confined children are forked from: everything imported, one thread, no secrets, no open files.

Run as `python -m coverslip.confined.zygote FD PARENT MODULE…`; forking here costs milliseconds where a fresh
interpreter with numpy and the readers costs a second. It never looks at a slide itself.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from coverslip import beside
from coverslip.confined import faults, forks, layers, libc, twin
from coverslip.confined.layers import Reach
from coverslip.confined.messages import Confined, Outcome, Request, Task
from coverslip.confined.saying import reporter, say
from coverslip.loading import loading
from coverslip.progress import Progress

Work = Callable[[Task, Progress], Outcome]


def main(arguments: list[str]) -> int:
    """Serve fork requests on the inherited socket until its other end closes."""
    handle, parent, *modules = arguments
    libc.die_with_parent(int(parent))
    libc.keep_to_itself()
    layers.leave_no_core()
    layers.leave_network()
    preload(modules)
    with socket.socket(fileno=int(handle)) as door, suppress(ConnectionError):  # nobody needs us any more
        door.send(b'{"ready": true}')
        while serve_one(door):
            pass
    return 0


def preload(modules: list[str]) -> None:
    """Import what children will need, and find out what is the same for each of them."""
    with loading():
        layers.learn()
        Request.learn()
        for name in modules:
            importlib.import_module(name)


def serve_one(door: socket.socket) -> bool:
    """Fork one child and report its end, or, where the kernel gives no process, nothing of it.

    False when there is nothing more to do.
    """
    asked, handles, _, _ = socket.recv_fds(door, 16, 2)
    if not asked or len(handles) != 2:
        return False
    request, pipe = handles
    theirs, ours = (end.detach() for end in socket.socketpair())
    child = forks.forked(lambda: run_child(request, pipe, theirs))
    os.close(pipe)
    os.close(theirs)
    number = None if child is None else accompanied(child, door, request, ours)
    os.close(request)
    os.close(ours)  # or the child would not see the end of its twin
    end = {} if child is None else forks.buried(child, number)
    door.send(json.dumps(end).encode())
    return True


def accompanied(child: int, door: socket.socket, request: int, ours: int) -> int | None:
    """Say that a child is there, wait until it ends or asks for its twin, and return the twin's number.

    A child that cannot have its twin is ended.
    """
    with forks.handle_of(child) as watched:
        socket.send_fds(door, [json.dumps({"pid": child}).encode()], [watched])
        if not forks.asks(watched, ours):
            return None
        number = forks.forked(lambda: run_twin(request, ours))
        if number is None:
            signal.pidfd_send_signal(watched, signal.SIGKILL)
        door.send(json.dumps({"twin": number or 0}).encode())
        return number


def run_twin(handle: int, door: int) -> int:
    """Do what the child asks; nobody looks at anything of a slide in here before the walls stand."""
    request = Request.decoded(os.pread(handle, os.fstat(handle).st_size, 0))
    (door,) = only_keep(door)
    limits = request.limits if request.task.pyramid else replace(request.limits, output=0)
    os.chdir(request.cwd)
    twin.serve(door, lambda: layers.apply(limits, reach(request.task), strict=request.strict))
    return 0


def run_child(handle: int, pipe: int, door: int) -> int:
    """Confine ourselves, do the work, say the outcome."""
    request = Request.decoded(os.pread(handle, os.fstat(handle).st_size, 0))
    pipe, door = only_keep(pipe, door)
    beside.lend(twin.Twin(door))
    return work_confined(request, pipe)


def work_confined(request: Request, pipe: int) -> int:
    """Apply the layers and call the work; 0 when a message says how it ended."""

    def work() -> Outcome:
        called = prepared(request)
        holding = layers.apply(request.limits, reach(request.task), strict=request.strict)
        say(pipe, Confined(layers=holding))
        return called(request.task, reporter(pipe))

    say(pipe, faults.outcome(work))
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


def only_keep(*handles: int) -> tuple[int, ...]:
    """Close every inherited file but these and return their new numbers; what libraries print goes nowhere."""
    last = max(handles)
    kept = [fcntl.fcntl(handle, fcntl.F_DUPFD, last + 1) for handle in handles]  # out of the way of their new numbers
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(0, 2)
    for number, handle in enumerate(kept, 3):
        os.dup2(handle, number)
    os.closerange(3 + len(kept), os.sysconf("SC_OPEN_MAX"))
    return tuple(range(3, 3 + len(kept)))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
