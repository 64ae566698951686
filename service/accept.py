"""What a caller says it takes (Accept): refused only when it says so and means it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from service.errors import NotAcceptable

LONGEST: Final = 1024
"""Characters of a header that is remembered; longer ones are read each time."""
_ALSO: Final = {"image/jpg": "image/jpeg", "text/xml": "application/xml", "*": "*/*"}
"""What clients say and mean something else by."""
_ZERO: Final = re.compile(r"0(?:\.0{0,3})?")


def accepts(untrusted_accept: str, media_type: str) -> bool:
    """Whether a header allows a type (RFC 9110, 12.5.1): the most precise word about it counts, silence allows all."""
    if not untrusted_accept:
        return True
    return (_known if len(untrusted_accept) <= LONGEST else _read)(untrusted_accept, media_type)


def require_accepted(untrusted_accept: str, media_type: str) -> None:
    """Raise `NotAcceptable` when the caller takes other things only."""
    if not accepts(untrusted_accept, media_type):
        raise NotAcceptable(f"There is only {media_type.partition(';')[0]} here.")


def _read(untrusted_accept: str, media_type: str) -> bool:
    wanted = media_type.partition(";")[0]
    said = dict(filter(None, map(_range, untrusted_accept.lower().split(","))))
    found = (said[name] for name in (wanted, f"{wanted.partition('/')[0]}/*", "*/*") if name in said)
    return next(found, not said)


_known = lru_cache(512)(_read)


def _range(untrusted_part: str) -> tuple[str, bool] | None:
    """(type, whether it is taken) of one media range; None for what is none."""
    name, *parameters = (word.strip() for word in untrusted_part.split(";"))
    name = _ALSO.get(name, name)
    weights = [word[2:].strip() for word in parameters if word.startswith("q=")]
    return (name, not any(map(_ZERO.fullmatch, weights))) if "/" in name else None
