"""The command line in processes forked from one that has loaded it: loading takes longer than most of what is asked.

Arguments, surroundings, umask and exit code are as they would be; how Python itself starts is not to be seen here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LOADED = ("coverslip.batch", "coverslip.cli", "coverslip.confined.supervisor", "coverslip.unconfined")
CHECKOUT = Path(__file__).parents[2]


class Warm:
    """The process that is forked, as seen by a test."""

    def __init__(self, asked: TextIO, answers: TextIO, folder: Path) -> None:
        self._asked, self._answers, self._folder = asked, answers, folder

    def run(self, arguments: Sequence[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command, in our folder and with our umask."""
        os.umask(umask := os.umask(0))
        out, err = (str(self._folder / name) for name in ("out", "err"))
        order = [[*arguments], environment, os.fspath(Path.cwd()), umask, [os.devnull, out, err]]
        self._asked.write(json.dumps(order) + "\n")
        self._asked.flush()
        code = int(self._answers.readline())
        return code, os.fsdecode(Path(out).read_bytes()), os.fsdecode(Path(err).read_bytes())


@contextmanager
def warm(folder: Path) -> Iterator[Warm]:
    """One that ends with the block."""
    program = [sys.executable, "-m", "tests.library.warm"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
    with subprocess.Popen(program, **pipes) as process:
        yield Warm(process.stdin, process.stdout, folder)
        process.stdin.close()


def _serve() -> None:
    for name in LOADED:
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(arguments: list[str], environment: dict[str, str], folder: str, umask: int, files: list[str]) -> None:
    from coverslip.__main__ import main

    for number, name in enumerate(files):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["coverslip", *arguments]
    try:
        main()
    finally:
        os._exit(70)  # it ends by itself, and a traceback is no end


if __name__ == "__main__":
    _serve()
