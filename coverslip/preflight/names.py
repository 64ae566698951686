"""Names that come from an archive or a client: relative, plain, and the same on every file system.

Source: Unicode TR36 §3.1 (bidirectional controls), the device names of Windows, APPNOTE 4.4.17.1 (forward slashes).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from coverslip.errors import DamagedSlide

MAX_NAME: Final = 255
MAX_PATH: Final = 1024
MAX_FOLDERS: Final = 16

_DEVICES: Final = re.compile(r"(con|prn|aux|nul|clock\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Control, format (also right-to-left overrides), surrogate, private, unassigned, line and paragraph separators."""
_PUNCTUATION: Final = frozenset('\\:*?"<>|')


def parts(untrusted_path: str) -> tuple[str, ...]:
    """Folders and name of a relative path, in Unicode's composed form.

    Raises DamagedSlide for anything that is not a plain name below the folder it is unpacked into.
    """
    if not untrusted_path or len(untrusted_path) > MAX_PATH:
        raise DamagedSlide("a name is empty or too long", where="name")
    found = tuple(unicodedata.normalize("NFC", part) for part in untrusted_path.split("/"))
    if len(found) > MAX_FOLDERS or not all(map(is_plain, found)):
        raise DamagedSlide("a name is not a plain relative path", where="name")
    return found


def is_plain(untrusted_part: str) -> bool:
    """Whether one part of a path means the same everywhere and leads nowhere else."""
    return (
        0 < len(untrusted_part.encode("utf-8", "surrogatepass")) <= MAX_NAME
        and untrusted_part not in (".", "..")
        and untrusted_part == untrusted_part.strip(" ").rstrip(".")
        and not any(unicodedata.category(char) in _FORBIDDEN or char in _PUNCTUATION for char in untrusted_part)
        and not _DEVICES.fullmatch(untrusted_part)
    )
