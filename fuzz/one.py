"""One target under atheris: `python -m fuzz.one TARGET CORPUS OPTIONS…` (libFuzzer's options)."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["coverslip"]):
    from fuzz import targets


def main() -> None:
    """Fuzz until the options say stop."""
    target = targets.TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: targets.run(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
