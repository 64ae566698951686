"""The checks in order: ledger, structure, scans, leaks, labels, scene, utility."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from coverslip.beside import elsewhere
from coverslip.progress import Progress, Stage, silent
from coverslip.slide import Route
from coverslip.verify import alone
from coverslip.verify.claim import Claim, Secret
from coverslip.verify.decoded import Sampled, check_decoded
from coverslip.verify.leaks import Hunt, search_headers, search_outside_levels
from coverslip.verify.ledger import check_ledger
from coverslip.verify.look import Seen, look
from coverslip.verify.reading import Bytes
from coverslip.verify.report import CheckResult, Finding, Ledger, Number, Report, ScanSummary, UtilitySummary
from coverslip.verify.scans import Levels, check_scans
from coverslip.verify.scene import Scene
from coverslip.verify.sides import Side, open_side, open_source
from coverslip.verify.standing import standing_words
from coverslip.verify.structure import check_structure
from coverslip.verify.utility import check_utility

HASH_BYTES = 4 << 20
WORTH_A_PROCESS = 16 << 20
"""Bytes of a clean slide whose tiles take longer to walk than a process takes to begin."""
BESIDE = 3
"""Checks that run at the same time: their work is mostly hashing, which needs no interpreter."""
Spare = Callable[[str], None]
"""Hears a slide's SHA-256 (hex)."""


def verify(claim: Claim, progress: Progress = silent, spare: Spare | None = None) -> Report:
    """Judge a clean slide against what the pipeline claims.

    `spare` hears the slide's SHA-256 (hex) as soon as it is known and the other process (`coverslip.beside`) has
    nothing to do for us any more, whatever the judgement will be.
    Raises `InputError` when a file cannot be walked at all, `StorageFailed` when it cannot be read, and whatever
    `progress` raises; everything else is a finding.
    """
    progress(Stage.VERIFY, 0.0)
    with ExitStack() as stack:
        clean = open_side(claim.clean, stack)
        source = open_source(claim.source, claim.route, stack)
        said_again = alone.scale_words(claim.source) if claim.source else frozenset()
        said_again |= alone.block_words(clean.file, clean.tiff)
        standing = standing_words(clean.file, clean.pages)
        hunt = Hunt(claim.secrets, claim.kept_words | said_again, standing)
        return _judge(claim, clean, source, hunt, progress, spare)


def verify_alone(clean: Path, source: Path | None = None, progress: Progress = silent) -> Report:
    """Judge a slide of which no plan is known; with the source at hand, its own words are what must be gone.

    Files of strangers are held against the limits first (`coverslip.preflight`), as the command does: a source that the
    verifier cannot walk is read by OpenSlide, which ends its process where memory does not suffice for what a file
    claims. Raises what `verify` raises.
    """
    with ExitStack() as stack:
        found = open_side(clean, stack)
        kept = alone.kept_words(found.file, found.tiff)
        origin = open_source(source, Route.CONVERTED, stack) if source else None
        route = _route(found, origin) if source else Route.SAME_CONTAINER
        secrets: tuple[Secret, ...] = ()
        if source is not None:
            walked = (origin.path, origin.file, origin.tiff, origin.pages) if origin else None
            secrets = alone.secrets_of(*walked) if walked else alone.properties_of(source)
    return verify(Claim(clean, source, route, secrets, kept), progress)


def _route(clean: Side, source: Side | None) -> Route:
    """Same container when the source's first level stands in the clean slide with the same tiles, else converted."""
    if source is None or not source.levels or not clean.levels:
        return Route.CONVERTED
    before, after = source.levels[0], clean.levels[0]
    same = (before.size, before.tile, before.codec) == (after.size, after.tile, after.codec)
    return Route.SAME_CONTAINER if same else Route.CONVERTED


def _judge(
    claim: Claim, clean: Side, source: Side | None, hunt: Hunt, progress: Progress, spare: Spare | None
) -> Report:
    """All checks. Those that read every tile, hash the file and compare pictures run beside the others."""
    with ThreadPoolExecutor(BESIDE, thread_name_prefix="beside") as pool:
        scanning = pool.submit(_scans, claim, clean, source, hunt, progress)
        digest = pool.submit(_sha256, clean.file)
        looking = partial(elsewhere, look) if clean.file.size >= WORTH_A_PROCESS else look
        comparing = pool.submit(looking, claim.clean, claim.source, claim.route)
        if spare is not None:
            pool.submit(_spared, comparing, digest, spare)
        ledger, ledger_findings = check_ledger(clean.file, clean.tiff, clean.pages)
        structure_findings = check_structure(clean.file, clean.tiff, clean.pages, claim.route)
        utility, utility_findings = check_utility(
            clean.walked, source.walked if source else None, claim.source, claim.route
        )
        complete = _search_outside(hunt, clean)
        scans, scan_findings, sampled = scanning.result()
        leak_findings = _leaks(hunt, complete)
        seen = comparing.result()
        progress(Stage.VERIFY, 1.0)
        checks = (
            _result("ledger", ledger_findings, {"total": ledger.total, "unowned": ledger.unowned}),
            _result("structure", structure_findings, {"directories": len(clean.tiff.ifds)}),
            _result("scans", scan_findings, _scan_numbers(scans, sampled)),
            _result("leaks", leak_findings, _leak_numbers(hunt)),
            _result("labels", seen.labels, {"best_likeness": seen.likeness}),
            _result("scene", seen.others, _scene_numbers(seen.scene)),
            _result("utility", utility_findings, {"levels": len(utility.after.levels)}),
        )
        findings = [
            *ledger_findings,
            *structure_findings,
            *scan_findings,
            *leak_findings,
            *seen.labels,
            *seen.others,
            *utility_findings,
        ]
        return _report(claim, findings, checks, (ledger, hunt, scans, utility), (digest, clean.file.size))


def _spared(comparing: Future[Seen], digest: Future[str], spare: Spare) -> None:
    """Wait for both and say so; what went wrong with either is for whoever judges."""
    comparing.result()
    spare(digest.result())


def _report(
    claim: Claim,
    findings: Sequence[Finding],
    checks: tuple[CheckResult, ...],
    results: tuple[Ledger, Hunt, ScanSummary, UtilitySummary],
    clean: tuple[Future[str], int],
) -> Report:
    ledger, hunt, scans, utility = results
    return Report(
        route=claim.route.value,
        findings=tuple(findings),
        checks=checks,
        ledger=ledger,
        leaks=hunt.summary(),
        scans=scans,
        utility=utility,
        clean_sha256=clean[0].result(),
        clean_bytes=clean[1],
    )


def _sha256(file: Bytes) -> str:
    digest = hashlib.sha256()
    for start in range(0, file.size, HASH_BYTES):
        digest.update(file.read(start, min(HASH_BYTES, file.size - start), "file"))
    return digest.hexdigest()


def _scans(
    claim: Claim, clean: Side, source: Side | None, hunt: Hunt, progress: Progress
) -> tuple[ScanSummary, list[Finding], Sampled | None]:
    def step(done: float) -> None:
        progress(Stage.VERIFY, 0.9 * done)

    same = claim.route is Route.SAME_CONTAINER
    keyed = source is not None and source.stack is not None and clean.stack is not None
    before = _levels(source, keyed=keyed) if source and same else None
    result = check_scans(_levels(clean, keyed=keyed), before, hunt if claim.secrets else None, step)
    search_headers(hunt, result.headers)
    if same or claim.source is None:
        return result.summary, result.findings, None
    sampled, findings = check_decoded(claim.clean, claim.source, lambda done: None)
    return result.summary.decoded(sampled.compared, sampled.agreeing), result.findings + findings, sampled


def _levels(side: Side, *, keyed: bool) -> Levels:
    return Levels(side.file, side.levels, side.stack.keys if keyed and side.stack else ())


def _search_outside(hunt: Hunt, clean: Side) -> bool:
    others = [page for page in clean.pages if page not in clean.levels]
    return search_outside_levels(hunt, clean.file, clean.tiff, clean.levels, others)


def _leaks(hunt: Hunt, complete: bool) -> list[Finding]:
    findings = hunt.findings()
    if not complete:
        findings.append(Finding("leaks", "too-much-packed", "file", "holds more packed data than can be searched"))
    return findings


def _result(name: str, findings: Sequence[Finding], measured: dict[str, Number]) -> CheckResult:
    return CheckResult(name, not findings, {**measured, "findings": len(findings)})


def _scan_numbers(scans: ScanSummary, sampled: Sampled | None) -> dict[str, Number]:
    numbers: dict[str, Number] = {"tiles": scans.tiles, "compared": scans.compared, "identical": scans.identical}
    if sampled is not None:
        numbers |= {"worst_psnr_db": sampled.worst_psnr, "worst_mean_difference": sampled.worst_difference}
    return numbers


def _scene_numbers(scene: Scene) -> dict[str, Number]:
    return {"places": scene.places, "agreeing": scene.agreeing, "least_share": scene.worst}


def _leak_numbers(hunt: Hunt) -> dict[str, Number]:
    leaks = hunt.summary()
    forms = hunt.forms.total()
    return {"searched": leaks.searched, "by_structure": leaks.by_structure, "forms": forms, "hits": leaks.hits}
