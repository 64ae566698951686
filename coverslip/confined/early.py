"""The process that children are forked from, begun before the command line itself is loaded: it takes longer to load.

Nobody has to take it: it ends by itself when we do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from coverslip.confined import spawn

if TYPE_CHECKING:
    from coverslip.confined.supervisor import Zygote

WORK: Final = "coverslip.confined.slides"
"""Loads what cleans slides."""
LOOKS: Final = "coverslip.confined.looks"
"""Loads what looks at them."""
COMMANDS: Final = {
    "deidentify": WORK, "inspect": LOOKS, "plan": LOOKS, "verify": LOOKS, "pyramid": LOOKS, "export": LOOKS,
}  # fmt: skip
OTHERWISE: Final = frozenset({"--no-confine", "--help"})

_begun: dict[str, spawn.Begun] = {}


def begin(arguments: Sequence[str]) -> None:
    """Start what the command in these arguments is going to need; returns at once."""
    module = COMMANDS.get(arguments[0]) if arguments and not OTHERWISE & {*arguments} else None
    if module is not None:
        _begun[module] = spawn.zygote(module)


def zygote(module: str) -> Zygote:
    """The one that was begun, or a new one that is not started."""
    from coverslip.confined.supervisor import Zygote

    return Zygote(module, begun=_begun.pop(module, None))
