"""Sign-in cookies, and whom this process believes without asking: cookies and keys it saw a moment ago.

A cookie is signed, short-lived, and names a key. Whoever cookie or key stands for is remembered for `RECHECK` seconds,
so that a tile costs no look at the catalogue; a revocation ends that on every process of this machine at once.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from itsdangerous import BadSignature, URLSafeTimedSerializer

from coverslip.archive.records import Principal

LIFETIME = 8 * 3600
"""Seconds a sign-in lasts: a working day."""
RECHECK = 5.0
"""Seconds a credential is believed without asking the catalogue: how long a key that was revoked on another machine, or
by hand in the database, can still fetch tiles."""
REMEMBERED = 1024
SECRET_LIMIT = 256
"""Characters of a bearer token we are willing to look at."""
_SALT = "coverslip-session-1"

Lookup = Callable[[str], Principal | None]
Shown = tuple[bytes | None, bytes | None]
"""A request's `Authorization` and `Cookie`, as they came."""


class Belief(NamedTuple):
    """Who a credential stood for when the catalogue was last asked."""

    until: float
    """By the monotonic clock."""
    mark: bytes
    principal: Principal


class Beliefs:
    """What is believed of credentials; of these only digests are kept."""

    def __init__(self, mark: Callable[[], bytes]) -> None:
        """`mark` changes with every revocation."""
        self._mark = mark
        self._believed: OrderedDict[bytes, Belief] = OrderedDict()

    def get(self, untrusted_credential: str) -> Belief | None:
        """What is believed of it, if it still is."""
        found = self._believed.get(_digest(untrusted_credential))
        return found if found is not None and self.holds(found) else None

    def holds(self, belief: Belief) -> bool:
        """Whether it is recent enough and nothing has been revoked since."""
        return belief.until > time.monotonic() and belief.mark == self._mark()

    def ask(self, untrusted_credential: str, lookup: Lookup) -> Principal | None:
        """Who it stands for now, to be remembered; None is asked for again every time. Blocks as `lookup` does."""
        mark = self._mark()  # before the question: what is revoked during it must not be believed after it
        principal, key = lookup(untrusted_credential), _digest(untrusted_credential)
        self._believed.pop(key, None)
        if principal is not None:
            self._believed[key] = Belief(time.monotonic() + RECHECK, mark, principal)
            while len(self._believed) > REMEMBERED:
                self._believed.popitem(last=False)
        return principal


class Sessions:
    """Makes and reads the cookie, and remembers keys shown as bearer tokens."""

    def __init__(
        self,
        key: bytes,
        current: Lookup,
        holder: Lookup = lambda _: None,
        mark: Callable[[], bytes] = bytes,
        *,
        secure: bool,
    ) -> None:
        """`current` says who a key id stands for, `holder` who holds a secret; None once revoked. Both block.

        `secure` cookies carry the `__Host-` prefix and travel over TLS only.
        """
        self._signer = URLSafeTimedSerializer(key, salt=_SALT)
        self.current = current
        self._holder = holder
        self._cookies, self._secrets = Beliefs(mark), Beliefs(mark)
        self.holds = self._cookies.holds
        """Whether a belief still does."""
        self.secure = secure
        self.cookie = "__Host-coverslip" if secure else "coverslip"

    def issue(self, principal: Principal) -> str:
        """A cookie value for somebody who has just shown a key."""
        return self._signer.dumps(principal.key_id)

    def remembered(self, untrusted_token: str) -> Principal | None:
        """Who a cookie stands for, if it was verified within the last seconds: no signature, no catalogue."""
        return _principal(self._cookies.get(untrusted_token))

    def verify(self, untrusted_token: str) -> Principal | None:
        """Who a cookie stands for now; None when forged, expired or its key revoked. Blocks: asks the catalogue."""
        return self._cookies.ask(untrusted_token, self._signed_in)

    def remembered_bearer(self, untrusted_secret: str) -> Principal | None:
        """Who a key stands for, if it was shown within the last seconds: no catalogue."""
        return _principal(self._secrets.get(untrusted_secret))

    def believed(self, untrusted_shown: Shown) -> Belief | None:
        """What is believed of the headers of a request: of its key, and of its cookie if it brings no key."""
        header, cookies = untrusted_shown
        if header is not None:
            secret = secret_of(header.decode("latin-1"))
            return self._secrets.get(secret) if secret is not None else None
        token = cookie_in((cookies or b"").decode("latin-1"), self.cookie)
        return self._cookies.get(token) if token is not None else None

    def bearer(self, untrusted_secret: str) -> Principal | None:
        """Who a key stands for now; None when it is none or was revoked. Blocks: asks the catalogue."""
        return self._secrets.ask(untrusted_secret, self._holder)

    def _signed_in(self, untrusted_token: str) -> Principal | None:
        try:
            key_id = self._signer.loads(untrusted_token, max_age=LIFETIME)
        except BadSignature:
            return None
        return self.current(key_id) if isinstance(key_id, str) else None


def secret_of(untrusted_header: str) -> str | None:
    """The secret an Authorization header carries as a bearer token (RFC 6750, 2.1); None for another scheme."""
    scheme, _, secret = untrusted_header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def cookie_in(headers: Mapping[str, str] | str, name: str) -> str | None:
    """One cookie's value out of a Cookie header."""
    text = headers if isinstance(headers, str) else headers.get("cookie", "")
    for part in text.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return None


def _principal(belief: Belief | None) -> Principal | None:
    return None if belief is None else belief.principal


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
