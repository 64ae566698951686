"""The way of one slide: open, inventory, plan, write, verify, pyramid. The command line and the worker call this."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from coverslip import certificate as cert
from coverslip.certificate_page import to_html
from coverslip.codestreams import icc
from coverslip.durable import sync
from coverslip.elements import Element, Inventory
from coverslip.errors import InputError, UnknownStructure
from coverslip.fingerprint import Fingerprint, fingerprint
from coverslip.formats import AnySlide, open_slide
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.intake import arrived
from coverslip.intake.words import given
from coverslip.keys import digest
from coverslip.names import index_beside
from coverslip.outcomes import Cleaned, Outcome, Quarantined, Rejected
from coverslip.policy import Keep, Plan, Policy
from coverslip.progress import Progress, Stage, silent
from coverslip.publishing import publish
from coverslip.rooms import workspace
from coverslip.tiling import Tiling
from coverslip.verify import Claim, Report, Secret, verify
from coverslip.write.converted import write_converted
from coverslip.write.tiff import write_tiff

SUFFIXES = {"aperio": ".svs", "ome-tiff": ".ome.tiff"}


def deidentify(
    source: Path, out_dir: Path, *, policy: Policy, key: bytes, name: str | None = None, progress: Progress = silent,
    untrusted_words: tuple[str, ...] = (), sha256: str = "", pyramid: bool = False, complete: bool = False,
) -> Outcome:  # fmt: skip
    """Write the clean slide, its certificate and its tile hashes into `out_dir`; nothing appears that did not pass.

    `source` is a slide, or a folder or ZIP archive with one in it; `name` is the stem of the output files, without one
    it is a pseudonym made from the content with `key`; `untrusted_words` are what was said about it elsewhere, such as
    the name its file had: they are looked for in the clean slide like any removed value; `sha256` (hex) is the digest
    of `source`, a single file, where the caller knows it, and saves reading it once more. With `pyramid` its deep-zoom
    index appears with it, with every tile that the slide does not hold when it is to be `complete`.
    Raises StorageFailed, OutputExists and Cancelled; a file at fault becomes a `Rejected` or `Quarantined`.
    """
    try:
        progress(Stage.OPEN, 0.0)
        with arrived(source, out_dir, progress) as arrival, closing(open_slide(arrival.path)) as slide:
            words = (*arrival.words, *given(untrusted_words))
            known = _fingerprint_of(source, sha256) if sha256 and slide.files == (source,) else None
            wanted = _Wanted(out_dir, key, name, pyramid, complete)
            return _deidentify(slide, words, policy, wanted, progress, known)
    except UnknownStructure as error:
        return Quarantined(error.code, (str(error),))
    except InputError as error:
        return Rejected(error.code, error.where, error.detail)


def plan_slide(slide: AnySlide, policy: Policy, words: tuple[Element, ...] = ()) -> Plan:
    """What would happen to every element of an open slide, and to the words it arrived with; changes nothing."""
    return policy.plan(Inventory((*slide.inventory(), *words)))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to come of a slide, and where."""

    out_dir: Path
    key: bytes = field(repr=False)
    name: str | None
    pyramid: bool
    complete: bool


def _deidentify(
    slide: AnySlide, words: tuple[Element, ...], policy: Policy, wanted: _Wanted, progress: Progress,
    told: Fingerprint | None,
) -> Outcome:  # fmt: skip
    with ExitStack() as stack:
        work = stack.enter_context(workspace(wanted.out_dir))
        beside = stack.enter_context(ThreadPoolExecutor(2, "beside"))
        known = beside.submit(lambda: told or fingerprint(slide.files))
        progress(Stage.PLAN, 0.0)
        plan = plan_slide(slide, policy, words)
        draft = work / f"slide{SUFFIXES.get(slide.facts.vendor, '.tiff')}"
        write_clean(slide, plan, draft, progress=progress)
        flushed = beside.submit(sync, draft)
        tiles: Tiling | None = None
        if wanted.pyramid:
            tiles = stack.enter_context(Tiling(draft, index_beside(draft), wanted.complete, progress))
        report = verify(_claim(slide, plan, draft), progress, tiles.begin if tiles else None)
        flushed.result()
        if tiles and report.passed:
            tiles.finish(report.clean_sha256)
        return _deliver(slide, plan, report, draft, wanted, known)


def _fingerprint_of(source: Path, sha256: str) -> Fingerprint:
    return Fingerprint(bytes.fromhex(sha256), source.stat().st_size)


def write_clean(slide: AnySlide, plan: Plan, target: Path, *, progress: Progress = silent) -> None:
    """Write the clean slide by its route."""
    if isinstance(slide, TiffSlide):
        write_tiff(slide, plan, target, progress=progress)
    else:
        profile = slide.icc_profile() if plan.keeps("icc/transform") else b""
        write_converted(slide, target, progress=progress, icc=icc.clean(icc.parse(profile)) if profile else b"")


def _claim(slide: AnySlide, plan: Plan, clean: Path) -> Claim:
    """What the verifier is told: which values must be gone, and which words are there on purpose."""
    gone = [d.element for d in plan if not isinstance(d.action, Keep) and d.element.untrusted_value]
    kept = (d.element.untrusted_text for d in plan if isinstance(d.action, Keep))
    secrets = tuple(Secret(element.path, element.untrusted_value) for element in gone)
    return Claim(clean, slide.path, slide.route, secrets, frozenset(word for word in kept if word))


def _deliver(
    slide: AnySlide, plan: Plan, report: Report, draft: Path, wanted: _Wanted, known: Future[Fingerprint]
) -> Outcome:
    content, key, out_dir = known.result(), wanted.key, wanted.out_dir
    stem = wanted.name or f"slide-{digest(key, content.sha256, purpose='name')[:16]}"
    final = f"{stem}{''.join(draft.suffixes)}"
    source = cert.Source(digest(key, content.sha256, purpose="source"), content.size_bytes, slide.facts, slide.route)
    page = cert.certificate(source, plan, report, name=final, key=key)
    if not report.passed:
        findings = publish(draft.parent, out_dir, {f"{stem}.findings.json": cert.to_json(page)})
        reasons = tuple(f"{found.where}: {found.detail}" for found in report.findings)
        return Quarantined("verification-failed", reasons, findings[0])
    named = draft.rename(draft.with_name(final))
    files: dict[str, bytes | None] = {
        final: None,
        f"{stem}.certificate.json": cert.to_json(page),
        f"{stem}.certificate.html": to_html(page).encode(),
        f"{stem}.scans.sha256": report.scans.digests,
    }
    if wanted.pyramid:
        files[index_beside(draft).rename(index_beside(named)).name] = None
    clean, certificate, html, scans, *pyramid = publish(draft.parent, out_dir, files)
    counts = plan.counts()
    return Cleaned(
        clean, certificate, html, scans, report.clean_sha256, report.clean_bytes, slide.facts, slide.route.value,
        counts["removed"], counts["kept"], counts["replaced"], *pyramid,
    )  # fmt: skip
