"""The supervisor of a confined child: asks for it, listens to it, ends it; parses nothing itself."""

from __future__ import annotations

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, assert_never

from coverslip import stopped
from coverslip.confined import messages, spawn
from coverslip.confined.layers import Limits
from coverslip.confined.messages import (
    Answered,
    Confined,
    Declined,
    Doubted,
    Failed,
    Made,
    Outcome,
    Reached,
    Request,
    Task,
    Tiled,
)
from coverslip.confined.spawn import Begun
from coverslip.confined.watch import Watch
from coverslip.errors import (
    ChildCrashed,
    ChildNotStarted,
    ChildOutOfMemory,
    ChildTimedOut,
    CoverslipError,
)
from coverslip.progress import Progress

TICK = 0.1
"""Seconds between looks at clock, threads, output and cancellation."""
START_TIMEOUT = 120.0
GRACE = 5.0
PIPE_READ = 64 << 10


@dataclass(frozen=True, slots=True)
class Spent:
    """What a child cost."""

    status: int
    """As `os.wait` gives it."""
    cpu: float
    """Seconds."""
    peak: int
    """Resident bytes at most."""


class Zygote:
    """A process with everything imported, from which confined children are forked; one child at a time."""

    def __init__(self, *modules: str, begun: Begun | None = None) -> None:
        """Name the modules that hold the work; nothing is started before it is needed. `begun`: what was already."""
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None
        self._ready = False
        self.layers: tuple[str, ...] = ()
        """What held the last child."""
        self.spent: Spent | None = None
        """What the last child cost."""
        if begun is not None:
            self._take(begun)

    def __enter__(self) -> Self:
        """Stop when the block ends."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def run(
        self,
        work: str,
        task: Task,
        limits: Limits,
        *,
        progress: Progress,
        check: Callable[[], None] = lambda: None,
        strict: bool = False,
    ) -> Outcome:
        """Call `module:function` in a fresh confined child and return what it made of the slide.

        `check` is called several times a second and stops the child by raising; `strict` refuses to work unless every
        required layer holds. Raises the child's own typed error, `ChildNotStarted` when none came to look at the slide,
        `ChildCrashed`, `ChildTimedOut`, `ChildOutOfMemory` or `LimitExceeded` (too much output).
        """
        door = self._started()
        request = _written(work, task, limits, strict)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with ExitStack() as handles:
            hearing = handles.enter_context(_Hearing(reading, progress))
            with ExitStack() as given:
                given.callback(os.close, request)
                given.callback(os.close, writing)
                pid, watched = self._fork(door, request, writing)
            handles.callback(os.close, watched)
            watch = Watch([pid], watched, task.out_dir, limits)

            def look_around() -> None:
                self._wake()
                self._meet_twin(door, watch)
                check()

            with ExitStack() as unless_it_ended:
                unless_it_ended.callback(self._end, door, watched)
                _listen(hearing, watch, look_around)
                unless_it_ended.pop_all()
        self.spent = self._buried(door)
        if hearing.layers is None:
            raise ChildNotStarted("The child ended before its walls stood.", where=_place(hearing.outcome))
        self.layers = hearing.layers
        return _judge(hearing.outcome, self.spent.status)

    def start(self) -> None:
        """Begin importing, so that the first slide need not wait for it; returns at once."""
        if not self._is_up():
            self._spawn()

    def is_ready(self) -> bool:
        """Whether a child could be forked this very moment."""
        return self._is_up() and (self._ready or bool(self._door and select.select([self._door], [], [], 0)[0]))

    def stop(self) -> None:
        """End the process and whatever it forked."""
        if self._door is not None:
            self._door.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._door = self._process = None

    def _is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _spawn(self) -> None:
        self.stop()
        self._take(spawn.zygote(*self._modules))

    def _take(self, begun: Begun) -> None:
        self._process, self._door = begun
        self._door.settimeout(START_TIMEOUT)
        self._ready = False

    def _wake(self) -> None:
        """Whoever stopped it: nobody could be forked, nor buried, before our patience is over."""
        if self._process is not None:
            stopped.wake(self._process.pid)

    def _started(self) -> socket.socket:
        self.start()
        self._wake()
        if self._door is None:
            raise ChildNotStarted
        if not self._ready and not self._received(self._door):
            self.stop()
            raise ChildNotStarted("The process that children are forked from did not start.")
        self._ready = True
        return self._door

    def _fork(self, door: socket.socket, request: int, writing: int) -> tuple[int, int]:
        """The child's number and a handle to it."""
        try:
            socket.send_fds(door, [b"fork"], [request, writing])
            said, handles, _, _ = socket.recv_fds(door, messages.MAX_LINE, 1)
        except OSError as error:
            self.stop()
            raise ChildNotStarted("No child could be forked.") from error
        if not handles:
            if not said:
                self.stop()
            raise ChildNotStarted("No child could be forked.")
        return int(json.loads(said)["pid"]), handles[0]

    def _meet_twin(self, door: socket.socket, watch: Watch) -> None:
        """Watch a twin that the child has by now."""
        if len(watch.pids) == 1 and select.select([door], [], [], 0)[0]:
            said = self._received(door, socket.MSG_PEEK)  # the end of a child is for `_buried`
            if said.get("twin"):
                self._received(door)
                watch.pids.append(int(said["twin"]))

    def _end(self, door: socket.socket, watched: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(watched, signal.SIGKILL)
        self.spent = self._buried(door)

    def _buried(self, door: socket.socket) -> Spent:
        reply = self._received(door)
        alone = reply.get("twin") == 0
        if "twin" in reply:  # nobody met it
            reply = self._received(door)
        if not reply:
            self.stop()
            raise ChildCrashed("The process that children are forked from died.")
        if alone:
            raise ChildNotStarted("No twin could be forked.")
        return Spent(int(reply["status"]), float(reply["cpu"]), int(reply["peak"]))

    def _received(self, door: socket.socket, flags: int = 0) -> dict[str, float]:
        try:
            data = door.recv(messages.MAX_LINE, flags)
        except OSError:
            return {}
        return dict(json.loads(data)) if data else {}


def _written(work: str, task: Task, limits: Limits, strict: bool) -> int:
    """A file in memory that says what the child is for: the key in it passes by the process that is forked."""
    absolute = replace(
        task,
        source=task.source.absolute(),
        out_dir=task.out_dir.absolute(),
        also=tuple(path.absolute() for path in task.also),
        other=task.other and task.other.absolute(),
    )
    handle = os.memfd_create("request", os.MFD_CLOEXEC)
    os.write(handle, Request(work, absolute, limits, os.getcwd(), strict).encoded())  # noqa: PTH109
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


class _Hearing:
    """What a child has said so far, within bounds."""

    def __init__(self, reading: int, progress: Progress) -> None:
        self.reading = reading
        self.outcome: Outcome | Failed | None = None
        self.layers: tuple[str, ...] | None = None
        """None until the child's walls stand: before, it looks at nothing of a slide."""
        self._progress = progress
        self._rest = b""
        self._total = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.reading)

    def more(self) -> bool:
        """Take what is there; False at the end. Raises `ChildCrashed` for noise or for saying too much."""
        data = os.read(self.reading, PIPE_READ)
        self._total += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._total > messages.MAX_TOTAL or len(self._rest) > messages.MAX_LINE:
            raise ChildCrashed("The child said too much.")
        for line in lines:
            self._take(line)
        return bool(data)

    def _take(self, untrusted_line: bytes) -> None:
        match messages.parse(untrusted_line):
            case Reached(stage=stage, done=done):
                self._progress(stage, done)
            case Confined(layers=layers):
                self.layers = layers
            case Made() | Tiled() | Answered() | Doubted() | Declined() | Failed() as outcome:
                self.outcome = outcome
            case other:
                assert_never(other)


def _listen(hearing: _Hearing, watch: Watch, check: Callable[[], None]) -> None:
    """Hear the child out, until it closes its end or dies; raises when it has to be ended."""
    deadline = time.monotonic() + watch.limits.wall.total_seconds()
    with selectors.DefaultSelector() as selector:
        selector.register(hearing.reading, selectors.EVENT_READ)
        while True:
            if selector.select(TICK) and not hearing.more():
                break
            check()
            if time.monotonic() > deadline:
                raise ChildTimedOut
            watch.look()
    with selectors.DefaultSelector() as selector:  # it closed its end: now it has to go
        selector.register(watch.handle, selectors.EVENT_READ)
        if not selector.select(GRACE):
            raise ChildTimedOut


def _place(outcome: Outcome | Failed | None) -> str:
    return outcome.where if isinstance(outcome, Failed) else ""


def _judge(outcome: Outcome | Failed | None, status: int) -> Outcome:
    if os.WIFSIGNALED(status):
        raise _killed(os.WTERMSIG(status))
    if os.WEXITSTATUS(status) != 0 or outcome is None:
        raise ChildCrashed(f"The child left with status {os.WEXITSTATUS(status)}.")
    if isinstance(outcome, Failed):
        raise outcome.error()
    return outcome


def _killed(number: int) -> CoverslipError:
    match number:
        case signal.SIGXCPU:
            return ChildTimedOut()
        case signal.SIGKILL:  # not by us: then by the kernel, for memory or for the hard limit of CPU time
            return ChildOutOfMemory()
        case _:
            return ChildCrashed(f"The child died from signal {number}.")
