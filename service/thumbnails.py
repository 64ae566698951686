"""How wide thumbnails are: a few widths, so that a few pictures serve everybody who asks."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs

from service.errors import Malformed

WIDTHS: Final = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Pixels."""
USUAL: Final = 256


def width_of(untrusted_query: bytes) -> int:
    """The smallest of `WIDTHS` that is no less than was asked for; raises `Malformed`.

    A thousand widths would be a thousand pictures to make, and to keep in every cache on the way.
    """
    try:
        given = parse_qs(untrusted_query.decode("ascii"), True, max_num_fields=8)
    except ValueError as error:
        raise Malformed("The query does not parse.") from error
    given.pop("token", None)  # a link's, looked at by whoever decides about access
    texts = given.pop("width", [str(USUAL)])
    known = len(texts) == 1 and re.fullmatch(r"[0-9]{1,4}", texts[0], re.ASCII) and not given
    if not known or not WIDTHS[0] <= int(texts[0]) <= WIDTHS[-1]:
        raise Malformed(f"A thumbnail takes one parameter: width, {WIDTHS[0]} to {WIDTHS[-1]}.")
    return widened(int(texts[0]))


def widened(width: int) -> int:
    """The smallest of `WIDTHS` that is no less."""
    return next(found for found in WIDTHS if found >= width)
