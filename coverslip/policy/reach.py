"""How far a policy reaches: places that no clean slide can keep, whatever a rule says.

What can be written anew from parsed values is what the built-in policies list; the verifier refuses everything else by
lists of its own. A rule that keeps more holds every slide back, and its owner should hear of it before the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from coverslip.policy.load import BUILTIN, load
from coverslip.policy.model import Keep, Policy

_NUMBER = re.compile(r"\[(\d+(\.\d+)*)\]")
PICTURES = frozenset({"ifd[*]/image[thumbnail]"})
"""Pictures that may stay as they are besides the levels; a label or an overview is recognised and refused."""


def out_of_reach(policy: Policy) -> Iterator[tuple[str, str]]:
    """Rules and places whose keeping always ends in quarantine, or in nothing: the reader's word for each."""
    for rule in policy.rules:
        if isinstance(rule.action, Keep):
            yield from ((rule.id, path) for path in rule.paths if _NUMBER.sub("[*]", path) not in keepable())


@cache
def keepable() -> frozenset[str]:
    """Patterns of all places that can stay."""
    rules = (rule for name in BUILTIN for rule in load(name).rules if isinstance(rule.action, Keep))
    return PICTURES | {path for rule in rules for path in rule.paths}
