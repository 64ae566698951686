"""The forms a clean slide's tiles are exported in."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """What an export becomes."""

    DZI = "dzi"
    SZI = "szi"
    STATIC = "static"
