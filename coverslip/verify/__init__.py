"""The verifier: judges a clean slide with its own walkers and shares nothing with what it checks.

claim.py       what the pipeline says it did
report.py      what was found
run.py         the checks in order
ledger.py leaks.py structure.py scans.py labels.py scene.py utility.py      one check each
tiff_walk.py jpeg_walk.py j2k_walk.py                              own walkers
certificate.py the report as plain values
"""

from coverslip.verify.certificate import as_dict
from coverslip.verify.claim import Claim, Secret
from coverslip.verify.report import (
    CheckResult,
    Finding,
    LeakProof,
    LeakSummary,
    Ledger,
    Report,
    ScanSummary,
    SlideReading,
    UtilitySummary,
)
from coverslip.verify.run import verify, verify_alone

__all__ = [
    "CheckResult",
    "Claim",
    "Finding",
    "LeakProof",
    "LeakSummary",
    "Ledger",
    "Report",
    "ScanSummary",
    "Secret",
    "SlideReading",
    "UtilitySummary",
    "as_dict",
    "verify",
    "verify_alone",
]
