"""Where the front end makes tiles of pieces no browser shows: behind walls, wherever there are any."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from coverslip.pyramid.on_request import Order, made
from coverslip.settings import Settings
from service.later import Later

if TYPE_CHECKING:
    from coverslip.confined.makers import Makers

CAN_CONFINE = sys.platform == "linux"


class Making:
    """A `Make` for opened pyramids; most slides never need it, so nothing is loaded before one does."""

    def __init__(self, settings: Settings) -> None:
        """As many at a time as pictures are derived."""
        self._settings = settings
        self._later = Later(self._makers)
        self._made: Makers | None = None

    def __call__(self, order: Order) -> bytes:
        """The tile; raises DamagedSlide, LimitExceeded or ConfinementFailed."""
        return self._later()(order) if CAN_CONFINE else made(order)

    def close(self) -> None:
        """End what was started."""
        if self._made is not None:
            self._made.close()

    def _makers(self) -> Makers:
        from coverslip.confined.makers import Makers

        self._made = Makers(self._settings.derived_workers, strict=self._settings.strict_confinement)
        return self._made
