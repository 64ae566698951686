"""Link tokens: whoever holds the address sees one slide's pixels, for a quarter of an hour at most.

A token is signed with the key sessions are signed with, under another name, and says which slide, what for and until
when. Nothing is stored: it cannot be taken back before its time, which is why its time is short. A slide that leaves
review or is withdrawn is gone for its holder too.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from itsdangerous import BadData, URLSafeSerializer

LIFETIME: Final = 15 * 60
"""Seconds a link holds."""
TOKEN_LIMIT: Final = 256
"""Characters of a token we are willing to look at."""
REMEMBERED: Final = 1024
"""Tokens whose signature is not computed again."""
_SCOPE: Final = "view"
_SALT: Final = "coverslip-link-1"


@dataclass(frozen=True, slots=True)
class Link:
    """A way to one slide."""

    token: str
    expires: datetime


class LinkTokens:
    """Makes and reads link tokens."""

    def __init__(self, key: bytes) -> None:
        """Every process of a site must be given the same `key`."""
        signing: dict[str, Any] = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        self._signer = URLSafeSerializer(key, salt=_SALT, signer_kwargs=signing)
        self._known: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def issue(self, sid: str, lifetime: int = LIFETIME) -> Link:
        """A token for one slide; `lifetime` in seconds, never more than `LIFETIME`."""
        expires = int(time.time()) + min(lifetime, LIFETIME)
        token = self._signer.dumps([sid, _SCOPE, expires])
        return Link(token if isinstance(token, str) else token.decode(), datetime.fromtimestamp(expires, UTC))

    def allows(self, untrusted_token: str, sid: str) -> bool:
        """Whether a token is ours, of this slide, for looking, and in time."""
        if not untrusted_token or len(untrusted_token) > TOKEN_LIMIT:
            return False
        try:
            said = self._signer.loads(untrusted_token)
        except BadData:
            return False
        match said:
            case [str(of), str(scope), int(expires)] if scope == _SCOPE and time.time() < expires:
                self._known[untrusted_token] = (of, expires)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
                return of == sid
            case _:
                return False

    def remembered(self, untrusted_token: str, sid: str) -> bool:
        """Whether `allows` said so before and the token is still in time: no signature is computed."""
        known = self._known.get(untrusted_token)
        return known is not None and known[0] == sid and time.time() < known[1]
