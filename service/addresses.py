"""Which addresses reach this machine only, and by which we are reached."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from coverslip.settings import Settings
from service.errors import Malformed

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether an address or host name reaches this machine only."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def base_of(settings: Settings, scheme: str, untrusted_host: str, pinned: str | None, lent: str | None = None) -> str:
    """What the addresses we name begin with, with the token they were lent by; raises `Malformed` for a bad Host."""
    here = settings.public_base_url.rstrip("/")
    if not here:
        if not _HOST.fullmatch(untrusted_host):
            raise Malformed("The Host header does not name a host.")
        here = f"{scheme}://{untrusted_host}"
    here = f"{here}/t/{lent}" if lent else here
    return f"{here}/v/{pinned}" if pinned else here
