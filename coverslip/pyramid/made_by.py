"""Which codecs make what is made on request, as part of a strong validator: the same tag never means other bytes."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from coverslip.versions import version_of

RECIPE: Final = 1
"""Raised when our own code makes other bytes of the same pixels with the same libraries."""
LIBRARIES: Final = ("simplejpeg", "turbojpeg", "pillow", "imagecodecs", "tifffile", "numpy")
"""What decodes, scales and encodes; one that is missing is as good as a version."""
_LINKED: Final = ("jpg", "libjpeg_turbo", "jpg_2000", "webp", "zlib", "littlecms2")
"""What a Pillow may have been linked with that its own version does not say."""


@cache
def made_by() -> str:
    """8 hex digits that differ where any of these does; costs forty milliseconds the first time."""
    from PIL import features  # most starts need neither this nor the next

    linked = [f"{name} {features.version(name)}" for name in _LINKED]
    found = [str(RECIPE), *(f"{name} {version_of(name)}" for name in LIBRARIES), *linked]
    return hashlib.blake2b("\n".join(found).encode(), digest_size=4).hexdigest()
