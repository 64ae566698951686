"""Whether libjpeg needs a scan to its last byte: it is silent about the scan, and complains when that byte is gone.

Far quicker than following the codes ourselves (`mcu`), and by the decoder that everybody uses. It asks for one bit too
many exactly when the last byte holds a bit of the last unit; words behind the last unit are passed over either way.
"""

from __future__ import annotations

from typing import Final

import simplejpeg

from coverslip.codestreams.jpeg_header import Frame

MAX_SIDE: Final = 4096
"""Pixels of a frame that is decoded here, at an eighth of its size."""
_COLOURS: Final = {1: "GRAY", 3: "RGB"}
_RUNS_OUT: Final = "premature end"


def needs_its_last_byte(head: bytes, scan: bytes, frame: Frame) -> bool:
    """Whether the only scan of a stream ends with its picture; `head` is all before it, tables included.

    False says nothing: libjpeg complained, or does not decode such frames. Restart intervals need another way, since
    what stands behind one of them is not complained about.
    """
    colours = _COLOURS.get(len(frame.components))
    if colours is None or frame.progressive or max(frame.width, frame.height) > MAX_SIDE or not scan:
        return False
    shorter = scan[: -2 if scan.endswith(b"\xff\0") else -1]
    return not _complaint(head + scan, colours) and _RUNS_OUT in _complaint(head + shorter, colours)


def _complaint(stream: bytes, colours: str) -> str:
    try:
        simplejpeg.decode_jpeg(stream + b"\xff\xd9", colours, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return str(error) or "damaged"
    return ""
