"""What every part of the catalogue's door needs: the database, the vault, the terms of leases, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from coverslip.archive.database import Database
from coverslip.archive.terms import Terms
from coverslip.archive.vault import Vault
from coverslip.errors import NotPermitted

Clock = Callable[[], datetime]
"""Moments in UTC. A clock wrong by more than the lease delays work or repeats it; the token keeps it safe."""


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Door:
    """One part; each public method of a part is one transaction, and what it returns is frozen."""

    def __init__(
        self, database: Database, *, vault: Vault | None, terms: Terms, clock: Clock, revoked: Callable[[], None]
    ) -> None:
        """Use `Catalog`."""
        self._db = database
        self._vault = vault
        self._terms = terms
        self._now = clock
        self._revoked = revoked

    def _sealed(self) -> Vault:
        if self._vault is None:
            raise NotPermitted("This process was started without the vault's key.")
        return self._vault
