"""Copy the JavaScript libraries the pages use from `node_modules` to `static/vendor`: `python -m service.vendor`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / "node_modules"
VENDOR = HERE / "static" / "vendor"

FILES = (
    ("openseadragon/build/openseadragon/openseadragon.min.js", "openseadragon.min.js"),
    ("openseadragon/LICENSE.txt", "openseadragon.LICENSE.txt"),
    ("htmx.org/dist/htmx.min.js", "htmx.min.js"),
    ("htmx.org/LICENSE", "htmx.LICENSE.txt"),
    ("tus-js-client/dist/tus.min.js", "tus.min.js"),
    ("tus-js-client/LICENSE", "tus.LICENSE.txt"),
)
"""Where a file stands in its package, and the name it is served under."""


def missing(modules: Path = MODULES) -> list[str]:
    """Packages' files that are not installed."""
    return [source for source, _ in FILES if not (modules / source).is_file()]


def copy(modules: Path = MODULES, target: Path = VENDOR) -> list[Path]:
    """Copy every library file and return what was written."""
    target.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(modules / source, target / name)) for source, name in FILES]


def main() -> int:
    """Copy, or say which package is missing."""
    if absent := missing():
        sys.stderr.write(f"Run `npm ci` first; not installed: {', '.join(absent)}\n")
        return 1
    sys.stdout.write(f"{len(copy())} files in service/static/vendor\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
