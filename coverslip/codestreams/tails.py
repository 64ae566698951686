"""Which ends of coded bytes read like words: there, and only there, is it worth asking whether a decoder needs them.

A name written behind the last unit of a scan is no marker and no comment, and every decoder passes over it. Asking
every tile where its last unit ends means decoding it; but what compression leaves looks like noise, and noise reads
like a word once in ten thousand tiles.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

END: Final = 8
"""Bytes at the very end that are looked at."""
REACH: Final = 256
"""Bytes before the end in which longer words are looked for."""
RUN: Final = 16

_TEXT = np.zeros(256, np.bool_)
_TEXT[[0, 9, 10, 13, *range(32, 127)]] = True
"""Printable ASCII, and the zeros between its letters in UTF-16."""
_LETTER = np.zeros(256, np.bool_)
_LETTER[[*range(48, 58), *range(65, 91), *range(97, 123)]] = True

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def wordy(data: Bytes, starts: Places, ends: Places) -> npt.NDArray[np.bool_]:
    """For each stretch [start, end) of `data`: whether its end reads like words.

    Six letters or digits among the last eight bytes and nothing unprintable, or any sixteen printable bytes among the
    last 256. A stretch may be empty; `ends` may not exceed the data.
    """
    last = data[np.maximum(ends[:, None] - END + np.arange(END), 0)]
    found = _TEXT[last].all(1) & (_LETTER[last].sum(1) >= END - 2) & (ends - starts >= END)
    result: npt.NDArray[np.bool_] = found | long_words(data, starts, ends)
    return result


def long_words(data: Bytes, starts: Places, ends: Places) -> npt.NDArray[np.bool_]:
    """Sixteen printable bytes in a row among the last 256, by joining runs of two, four and eight."""
    places = ends[:, None] - REACH + np.arange(REACH)
    run: npt.NDArray[Any] = _TEXT[data[np.maximum(places, 0)]] & (places >= starts[:, None])
    for step in (1, 2, 4, 8):
        run = run[:, :-step] & run[:, step:]
    return np.asarray(run.any(1))
