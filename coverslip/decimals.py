"""Numbers that somebody measured, as vendors print them: digits beyond those are no measurement, and could be a name's.

Vendors print nine digits at most, or all seventeen of the double (or the single) nearest to such a number:
`0.26283899999999999` is 0.262839 as C prints it. A record's number does not come out of that.
"""

from __future__ import annotations

import re
import struct
from typing import Final

DIGITS: Final = 9
"""Significant digits; as many as a single can tell apart."""
PADDED: Final = 6
"""Significant digits that zeros may follow to any length."""
_DECIMAL: Final = re.compile(r"([+-]?)((?:0|[1-9]\d{0,7})(?:\.\d{1,17})?)(?:[eE][+-]?\d{1,2})?")


def measured(text: str) -> float | None:
    """The value of a decimal with no more digits than a measurement has; None for anything else."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    value = float(text)
    return value if _is_short(found[2]) or _is_all_of(abs(value), text.lstrip("+-")) else None


def _is_short(digits: str) -> bool:
    """Nine digits, zeros at the end included; or six and any number of zeros."""
    significant = digits.replace(".", "").lstrip("0")
    return len(significant) <= DIGITS or len(significant.rstrip("0")) <= PADDED


def _is_all_of(value: float, text: str) -> bool:
    """Whether a text is the whole of a double that is the nearest to a short decimal, or a single."""
    if text not in (f"{value:.17g}", repr(value)):
        return False
    return _is_short(repr(value)) or struct.unpack("<f", struct.pack("<f", value))[0] == value
