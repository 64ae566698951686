"""The forms a clean slide's tiles are exported in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from coverslip.errors import StorageFailed

_CHECKOUT = Path(__file__).resolve().parent.parent
_LIBRARIES = (
    _CHECKOUT / "service/static/vendor/openseadragon.min.js",
    _CHECKOUT / "node_modules/openseadragon/build/openseadragon/openseadragon.min.js",
)
"""Where a checkout keeps the viewer library; a wheel brings none."""


class Form(StrEnum):
    """What an export becomes."""

    DZI = "dzi"
    SZI = "szi"
    STATIC = "static"


def viewer_library(given: Path | None) -> Path:
    """The file a static folder's page loads; raises StorageFailed, saying where it would come from."""
    for path in (given,) if given else _LIBRARIES:
        if path.is_file():
            return path
    raise StorageFailed("openseadragon.min.js is not here: run `npm ci`, or name it with --openseadragon")
