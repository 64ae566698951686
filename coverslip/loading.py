"""Loading a program: what is loaded stays, so nobody looks for garbage in it, now or later."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import everything a process works with inside of this, before it does anything else.

    Python would search it for garbage again and again: an eighth of the time it takes to load, and afterwards a pause
    of a tenth of a second now and then, in which a front end answers nobody. Pages shared with what is forked later
    stay shared.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
