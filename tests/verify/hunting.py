"""What tests of the search for removed values ask again and again."""

import random

from coverslip.verify.claim import Secret
from coverslip.verify.leaks import Hunt

NOISE = random.Random(3).randbytes(4000)


def finds(value, data, kept=()):
    """Whether a removed value is found in these bytes."""
    hunt = Hunt((Secret("here", value),), kept)
    hunt.search(data, "here")
    return bool(hunt.hits)


def around(written):
    """Something on either side."""
    return b"before\x01" + written + b"\x02behind"
