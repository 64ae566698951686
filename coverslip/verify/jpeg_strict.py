"""What libjpeg says about the end of a scan: nothing when it needs every byte, and a complaint when one is missing.

The verifier's first question about an end that reads like words; only where the answer is not plain are the codes
followed one by one (`jpeg_end`), which takes ten times as long.
"""

from __future__ import annotations

import simplejpeg

from coverslip.verify.jpeg_meaning import Reading
from coverslip.verify.limits import MAX_TILE_SIDE

EOI = b"\xff\xd9"
MISSING = "premature end of data"
KINDS = {1: "GRAY", 3: "RGB"}


def is_needed_throughout(stream: bytes, end: int, reading: Reading) -> bool:
    """Whether a whole stream's only scan, which ends at `end`, has its picture's last bit in its last byte.

    True only for a sequential scan without restarts that libjpeg decodes without a word, and not without its last
    byte. Its decoder never asks for more than it needs, so a tail of any length makes this False.
    """
    kind = KINDS.get(len(reading.frame.names))
    if kind is None or reading.frame.progressive or reading.meaning.restart or max(reading.frame.size) > MAX_TILE_SIDE:
        return False
    last = 2 if stream[end - 2 : end] == b"\xff\0" else 1
    return _says(stream[:end] + EOI, kind) == "" and MISSING in _says(stream[: end - last] + EOI, kind)


def _says(stream: bytes, kind: str) -> str:
    """libjpeg's first complaint about a stream, decoded at an eighth of its size."""
    try:
        simplejpeg.decode_jpeg(stream, kind, fastdct=True, fastupsample=True, min_height=1, min_width=1, strict=True)
    except ValueError as complaint:
        return str(complaint) or "damaged"
    return ""
