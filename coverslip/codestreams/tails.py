"""Which ends of coded bytes read like words: there, and only there, is it worth asking whether a decoder needs them.

A name written behind the last unit of a scan is no marker and no comment, and every decoder passes over it. Asking
every tile where its last unit ends means decoding it; but what compression leaves looks like noise, and noise reads
like a word once in ten thousand tiles.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

END: Final = 8
"""Bytes at the very end that are looked at."""
REACH: Final = 256
"""Bytes before the end in which longer words are looked for."""
RUN: Final = 16

_PRINTABLE = bytes(byte in (0, 9, 10, 13) or 32 <= byte < 127 for byte in range(256))
"""What `bytes.translate` makes of each byte: 1 of printable ASCII and of the zeros between its letters in UTF-16."""
_TEXT = np.frombuffer(_PRINTABLE, np.bool_)
_LONG: Final = b"\1" * RUN
_GAP: Final = b"\xff"
"""Stands between two stretches, so that no word reaches from one into the next."""
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
    """Sixteen printable bytes in a row among the last 256: noise has them once in ten million bytes."""
    view, begins = data.data, np.maximum(starts, ends - REACH)
    looked = [view[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
    printable = _GAP.join(looked).translate(_PRINTABLE)
    found = np.zeros(len(looked), np.bool_)
    at = printable.find(_LONG)
    if at < 0:
        return found
    behind = np.cumsum([len(stretch) + 1 for stretch in looked])
    while at >= 0:
        stretch = int(np.searchsorted(behind, at, "right"))
        found[stretch] = True
        at = printable.find(_LONG, int(behind[stretch]))
    return found
