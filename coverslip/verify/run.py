"""The checks in order: walk, ledger, structure, scans, leaks, labels, utility."""

from __future__ import annotations

import hashlib
from pathlib import Path

from coverslip.progress import Progress, silent
from coverslip.slide import Route
from coverslip.verify.claim import Claim
from coverslip.verify.ledger import check_ledger
from coverslip.verify.pages import pictures
from coverslip.verify.reading import Bytes
from coverslip.verify.report import CheckResult, LeakSummary, Report, ScanSummary, SlideReading, UtilitySummary
from coverslip.verify.tiff_walk import walk


def verify(claim: Claim, progress: Progress = silent) -> Report:
    """Judge a clean slide against what the pipeline claims.

    Raises `InputError` when a file cannot be walked at all, `StorageFailed` when it cannot be read, and whatever
    `progress` raises; everything else is a finding.
    """
    with Bytes(claim.clean) as file:
        tiff = walk(file)
        ledger, findings = check_ledger(file, tiff, pictures(file, tiff))
        checks = [CheckResult("ledger", not findings, {"total": ledger.total, "unowned": ledger.unowned})]
        digest = hashlib.sha256(claim.clean.read_bytes()).hexdigest()
        scans = ScanSummary("none", 0, 0, 0, "", (), b"")
        reading = SlideReading("", None, None, "", "", (), (), (), "", "")
        return Report(str(claim.route), tuple(findings), tuple(checks), ledger, LeakSummary((), 0), scans,
                      UtilitySummary(None, reading), digest, file.size)  # fmt: skip


def verify_alone(clean: Path, source: Path | None = None, progress: Progress = silent) -> Report:
    """Judge a slide of which no plan is known; with the source at hand, its own words are what must be gone."""
    return verify(Claim(clean, source, Route.SAME_CONTAINER), progress)
