"""Sign-in cookies: which key signed in. Signed, short-lived, and checked against the catalogue again and again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer

from coverslip.archive.records import Principal

LIFETIME = 8 * 3600
"""Seconds a sign-in lasts: a working day."""
RECHECK = 5.0
"""Seconds a verified cookie is believed without asking the catalogue: how long a revoked key can still fetch tiles."""
REMEMBERED = 1024
_SALT = "coverslip-session-1"


@dataclass(slots=True)
class _Believed:
    until: float
    principal: Principal


class Sessions:
    """Makes and reads the cookie; `lookup` says whether a key is still good."""

    def __init__(self, key: bytes, lookup: Callable[[str], Principal | None], *, secure: bool) -> None:
        """`secure` cookies carry the `__Host-` prefix and travel over TLS only."""
        self._signer = URLSafeTimedSerializer(key, salt=_SALT)
        self.current = lookup
        """Who a key id stands for now; None once revoked. Blocks."""
        self._believed: OrderedDict[str, _Believed] = OrderedDict()
        self.secure = secure
        self.cookie = "__Host-coverslip" if secure else "coverslip"

    def issue(self, principal: Principal) -> str:
        """A cookie value for somebody who has just shown a key."""
        return self._signer.dumps(principal.key_id)

    def remembered(self, untrusted_token: str) -> Principal | None:
        """Who a cookie stands for, if it was verified within the last seconds: no signature, no catalogue."""
        found = self._believed.get(untrusted_token)
        return found.principal if found and found.until > time.monotonic() else None

    def verify(self, untrusted_token: str) -> Principal | None:
        """Who a cookie stands for now; None when forged, expired or its key revoked. Blocks: asks the catalogue."""
        if known := self.remembered(untrusted_token):
            return known
        self._believed.pop(untrusted_token, None)
        try:
            key_id = self._signer.loads(untrusted_token, max_age=LIFETIME)
        except BadSignature:
            return None
        principal = self.current(key_id) if isinstance(key_id, str) else None
        if principal:
            self._believe(untrusted_token, principal)
        return principal

    def forget(self) -> None:
        """Believe nothing any more: a key was revoked."""
        self._believed.clear()

    def _believe(self, token: str, principal: Principal) -> None:
        self._believed[token] = _Believed(time.monotonic() + RECHECK, principal)
        while len(self._believed) > REMEMBERED:
            self._believed.popitem(last=False)


def cookie_in(headers: Mapping[str, str] | str, name: str) -> str | None:
    """One cookie's value out of a Cookie header."""
    text = headers if isinstance(headers, str) else headers.get("cookie", "")
    for part in text.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None
