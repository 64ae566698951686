"""What one running front end holds, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coverslip.archive.archive import Archive
from coverslip.archive.catalog import Catalog
from coverslip.archive.storage import Storage
from coverslip.settings import Settings
from service.derived import Workshop
from service.later import Later
from service.links import LinkTokens
from service.making import Making
from service.packing import Packing
from service.pulse import Pulse
from service.receiving import Floor
from service.routes.tiles import Tiles
from service.sessions import Sessions
from service.shelf import Shelf

if TYPE_CHECKING:
    from service.sources import Sources


@dataclass(frozen=True, slots=True)
class Service:
    """Settings, what exists and where it lies, cookies, opened pyramids, who makes pictures, what drives live pages."""

    settings: Settings
    archive: Archive
    sessions: Sessions
    links: LinkTokens
    shelf: Shelf
    making: Making
    workshop: Workshop
    packing: Packing
    sources: Later[Sources]
    """Facts of clean slides that only their files hold."""
    tiles: Tiles
    floor: Floor
    pulse: Pulse
    demo_key: str | None
    """Id of the key a loopback demo made for itself; None otherwise."""

    @property
    def catalog(self) -> Catalog:
        """The record of what exists."""
        return self.archive.catalog

    @property
    def storage(self) -> Storage:
        """The zones of the disk."""
        return self.archive.storage
