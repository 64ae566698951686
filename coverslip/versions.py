"""Which versions of libraries are installed, read off the names of the folders their installer made.

`importlib.metadata` answers the same from what lies in those folders; loading it, and reading eight of them, takes
25 ms of each slide.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from typing import Final

_DIST_INFO: Final = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.dist-info")
"""`name-version.dist-info` (Binary distribution format; neither part holds a hyphen)."""


def version_of(name: str) -> str:
    """The version of a distribution; empty when it is not installed."""
    return _installed().get(_normal(name)) or _as_metadata_says(name)


@cache
def _installed() -> dict[str, str]:
    """All of them by normal name; of two with one name the first on the path, which is what would be imported."""
    found: dict[str, str] = {}
    for folder in sys.path:
        for entry in _entries(folder):
            if match := _DIST_INFO.fullmatch(entry):
                found.setdefault(_normal(match["name"]), match["version"])
    return found


def _entries(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder or "."))  # noqa: PTH208  names are all that is asked
    except OSError:  # the standard library in a ZIP, or a folder that is not there
        return []


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _as_metadata_says(name: str) -> str:
    """For what was installed in some other way."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""
