"""Take out of a package-lock.json what packages need besides themselves: `python -m scripts.bundles LOCK`.

Other people's viewers come as bundles that hold all they need. npm would install it a second time, in 400 megabytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

KEPT: Final = ("name", "version", "integrity", "license")


def alone(lock: dict[str, Any]) -> dict[str, Any]:
    """The lock with the packages the project names, and without what those name."""
    root = lock["packages"][""]
    places = [f"node_modules/{name}" for name in root["dependencies"]]
    found = {place: {k: v for k, v in lock["packages"][place].items() if k in KEPT} for place in places}
    return lock | {"packages": {"": root, **found}}


def main() -> int:
    """Rewrite the file in place."""
    path = Path(sys.argv[1])
    path.write_text(json.dumps(alone(json.loads(path.read_text("utf-8"))), indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
