"""`python -m fuzz.runs [--brief] [TARGET…]`: long runs of a few bytes, alone, behind and inside what is sound.

A fuzzer keeps its inputs short, so it does not find what takes the square of its input: each target has to be done
with a quarter of a megabyte in a few seconds, whatever stands in it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from fuzz import targets
from fuzz.__main__ import SLOWEST
from fuzz.seeds import corpus

LENGTH: Final = 250_000
UNITS: Final = (
    b"\0", b"a", b"1", b" ", b"\n", b'"', b"=", b"|", b";", b",", b"/", b"../", b"a:", b"A\0", b"ab12", b"-a1", b"0.",
    b"a=1\n", b"[x]\n", b"%41", b"QUJD", b"&#", b"&amp;", b"<a>", b"<a ", b"<!", b"<OME ", b"</OME>",
    b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\xff\xd9", b"\xff\xd8", b"\xff\xfe\0\x04ab", b"\xff\x90", b"\xff\x93",
    b"\x1f\x8b\x08", b"\x78\x9c", b"BZh9", b"\xfd7zXZ\0", b"\x80", b"\x1c\x02\x05\0\x04", b"8BIM", b"mluc\0\0\0\0",
    b"PK\x01\x02", b"PK\x03\x04", b"\xfe\xff\0\xe0", b"\x2a\0\x08\0",
)  # fmt: skip


class TookLong(Exception):
    """The processor has worked long enough at one input."""


def inputs(target: str, *, brief: bool = False) -> Iterator[tuple[str, bytes]]:
    """Each run by itself, behind a sound input, in its middle and before its last two bytes; with what it is.

    `brief`: each in one of the four ways, in turn.
    """
    sound = corpus(target)[0]
    places = (("behind", len(sound)), ("inside", len(sound) // 2), ("before the end of", len(sound) - 2))
    for number, unit in enumerate(UNITS):
        run = unit * (LENGTH // len(unit))
        found = [(f"{unit!r} alone", run)]
        found += [(f"{unit!r} {where} a sound one", sound[:at] + run + b"\0" + sound[at:]) for where, at in places]
        yield from [found[number % 4]] if brief else found


def seconds(target: Callable[[bytes], None], data: bytes) -> float:
    """Of CPU for one input. Raises `TookLong` and whatever is no `InputError`."""
    begin = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, SLOWEST)
    try:
        targets.run(target, data)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return time.process_time() - begin


def main() -> int:
    """Run all; 1 when one took too long."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.runs", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all without one")
    parser.add_argument("--brief", action="store_true", help="a quarter of the inputs")
    chosen = parser.parse_args()
    signal.signal(signal.SIGVTALRM, _ring)
    names = chosen.targets or list(targets.TARGETS)
    return 1 if [name for name in names if not _done(name, brief=chosen.brief)] else 0


def _ring(number: int, frame: object) -> None:
    raise TookLong


def _done(name: str, *, brief: bool) -> bool:
    slowest, late = (0.0, "nothing"), []
    for what, data in inputs(name, brief=brief):
        try:
            slowest = max(slowest, (seconds(targets.TARGETS[name], data), what))
        except TookLong:
            late.append(what)
    sys.stdout.write(
        f"{name}: {slowest[0]:.2f} s for {slowest[1]}" + "".join(f"; TOO LONG: {one}" for one in late) + "\n"
    )
    sys.stdout.flush()
    return not late


if __name__ == "__main__":
    raise SystemExit(main())
