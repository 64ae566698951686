"""Coverslip: take what points to a person out of whole-slide images, prove it, and make them ready to serve.

The names below are the public list. They are looked up when first used: a process that only serves tiles need not load
what writes and verifies slides.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from coverslip.quiet import silence

if TYPE_CHECKING:
    from coverslip.formats import open_slide
    from coverslip.outcomes import Cleaned, Outcome, Quarantined, Rejected
    from coverslip.pipeline import deidentify, plan_slide
    from coverslip.policy import load as load_policy
    from coverslip.pyramid import Pyramid
    from coverslip.verify import verify_alone

silence()

_HOMES = {
    "Cleaned": "coverslip.outcomes",
    "Outcome": "coverslip.outcomes",
    "Pyramid": "coverslip.pyramid",
    "Quarantined": "coverslip.outcomes",
    "Rejected": "coverslip.outcomes",
    "build_pyramid": "coverslip.tiling",
    "deidentify": "coverslip.pipeline",
    "load_policy": "coverslip.policy:load",
    "open_slide": "coverslip.formats",
    "plan_slide": "coverslip.pipeline",
    "verify_alone": "coverslip.verify",
}

__all__ = [
    "Cleaned",
    "Outcome",
    "Pyramid",
    "Quarantined",
    "Rejected",
    "build_pyramid",
    "deidentify",
    "load_policy",
    "open_slide",
    "plan_slide",
    "verify_alone",
]


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'coverslip' has no attribute {name!r}")
    module, _, inner = home.partition(":")
    return getattr(import_module(module), inner or name)
