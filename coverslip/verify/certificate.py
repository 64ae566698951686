"""The verifier's part of the certificate: plain values in a fixed order, no time, no file name, no removed value."""

from __future__ import annotations

from typing import Any

from coverslip.verify.report import Finding, LeakProof, PlanesReading, Report, SlideReading

SCHEMA = "coverslip-verification/1"


def as_dict(report: Report) -> dict[str, Any]:
    """The report as JSON-ready values, the same for the same slide on every machine."""
    return {
        "schema": SCHEMA,
        "passed": report.passed,
        "route": report.route,
        "clean": {"sha256": report.clean_sha256, "bytes": report.clean_bytes},
        "checks": [
            {"name": check.name, "passed": check.passed, "measured": dict(sorted(check.measured.items()))}
            for check in report.checks
        ],
        "findings": [_finding(finding) for finding in report.findings],
        "ledger": {
            "total": report.ledger.total,
            "owned": dict(sorted(report.ledger.owned.items())),
            "unowned": report.ledger.unowned,
        },
        "leaks": _leaks(report),
        "scans": _scans(report),
        "utility": {"before": _reading(report.utility.before), "after": _reading(report.utility.after)},
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "code": finding.code, "where": finding.where, "detail": finding.detail}


def _leaks(report: Report) -> dict[str, Any]:
    leaks = report.leaks
    return {
        "searched": leaks.searched,
        "by_structure": leaks.by_structure,
        "hits": leaks.hits,
        "searched_bytes": leaks.searched_bytes,
        "secrets": [_proof(proof) for proof in leaks.secrets],
    }


def _proof(proof: LeakProof) -> dict[str, Any]:
    return {"path": proof.path, "proof": proof.proof, "forms": proof.forms, "hits": proof.hits}


def _scans(report: Report) -> dict[str, Any]:
    scans = report.scans
    return {
        "method": scans.method,
        "tiles": scans.tiles,
        "compared": scans.compared,
        "identical": scans.identical,
        "merkle_root": scans.merkle_root,
        "level_roots": list(scans.level_roots),
    }


def _reading(reading: SlideReading | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    return {
        "vendor": reading.vendor,
        "mpp": [reading.mpp.x, reading.mpp.y] if reading.mpp else None,
        "magnification": reading.magnification,
        "mpp_text": reading.mpp_text,
        "magnification_text": reading.magnification_text,
        "levels": [[size.width, size.height] for size in reading.levels],
        "tiles": [[size.width, size.height] for size in reading.tiles],
        "downsamples": list(reading.downsamples),
        "icc_transform": reading.icc_transform,
        "background": reading.background,
        "planes": _planes(reading.planes) if reading.planes else None,
    }


def _planes(reading: PlanesReading) -> dict[str, Any]:
    z, channels, t = reading.counts
    return {
        "z": z,
        "channels": channels,
        "t": t,
        "type": reading.type,
        "samples": reading.samples,
        "significant_bits": reading.significant_bits or None,
        "micrometres": list(reading.lengths),
        "levels": [[size.width, size.height] for size in reading.levels],
        "colours": list(reading.colours),
        "emissions": list(reading.emissions),
        "excitations": list(reading.excitations),
        "magnification": reading.magnification,
    }
