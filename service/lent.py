"""Lent addresses, `/t/{token}/…`: tiles and pictures for whoever holds a link, without a cookie, header or parameter.

A IIIF viewer follows the addresses in `info.json` and manifests and adds nothing to them, so the token stands in front,
and descriptions asked for with a token name addresses that carry it on.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]

PREFIX: Final = "/t/"
LINK: Final = "coverslip.link"
"""In a scope: the token of the address, believed by nobody yet."""
LENT: Final = "coverslip.lent"
"""In a scope: the token that opened this slide, for the addresses in the answer."""

_ADDRESS: Final = re.compile(r"/t/(?P<token>[\w.-]{1,256})(?P<rest>/(?:v|slides|iiif)/.+)", re.ASCII)


def returned(scope: Scope) -> Scope | None:
    """The request without its token in front; None when it is no address of ours."""
    found = _ADDRESS.fullmatch(scope["path"])
    if found is None or LINK in scope:
        return None
    return {**scope, "path": found["rest"], "raw_path": found["rest"].encode(), LINK: found["token"]}
