"""Coverslip: take what points to a person out of whole-slide images, prove it, and make them ready to serve."""

from coverslip.formats import open_slide
from coverslip.pipeline import Cleaned, Outcome, Quarantined, Rejected, deidentify, plan_slide
from coverslip.policy import load as load_policy
from coverslip.quiet import silence
from coverslip.verify import verify, verify_alone

silence()

__all__ = [
    "Cleaned",
    "Outcome",
    "Quarantined",
    "Rejected",
    "deidentify",
    "load_policy",
    "open_slide",
    "plan_slide",
    "verify",
    "verify_alone",
]
