"""Libraries that quote what they read, told to be silent: a log line or a warning is as public as a web page.

tifffile logs field values it cannot parse, pydicom warns with them, Pillow logs every field at debug level. What we
have to say about a slide we say ourselves, by place.
"""

from __future__ import annotations

import logging
import warnings
from typing import Final

TALKATIVE: Final = ("tifffile", "pydicom", "PIL")


def silence() -> None:
    """Switch their loggers and warnings off, whatever the program's logging is set up to do."""
    for name in TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?")
