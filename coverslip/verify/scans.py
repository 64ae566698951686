"""Every stored tile of the clean slide: its digest, its markers, and that its scan is bit for bit the source's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.verify.blocks import runs
from coverslip.verify.header_book import HeaderBook
from coverslip.verify.limits import MAX_FINDINGS_PER_CODE
from coverslip.verify.merkle import merkle_root
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, ScanSummary
from coverslip.verify.tiles import Outcome, Pair, Search, judge_block

DETAILS = {
    "more-than-needed": "holds more than a decoder needs",
    "scan-differs": "the scan or its tables are not the source's",
    "foreign-marker": "a marker segment no decoder needs",
    "bytes-after-end": "bytes after the end of the stream",
    "damaged-tile": "the stream cannot be walked to its end",
}
EMPTY = hashlib.sha256(b"").digest()
THREADS = 2
"""They hash and compare at the same time and take turns at the rest; a third would wait for its turn."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of one slide as its own walk sees them."""

    file: Bytes
    pages: tuple[Page, ...]
    keys: tuple[str, ...] = ()
    """What each page is, where the slide says so; equal keys are compared, whatever their order."""

    def keyed(self) -> list[tuple[str, Page]]:
        """Pages with their keys, empty ones where there are none."""
        return list(zip(self.keys or [""] * len(self.pages), self.pages, strict=True))


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What the stored tiles came to."""

    summary: ScanSummary
    findings: list[Finding]
    headers: tuple[tuple[str, bytes], ...]
    """Every distinct JPEG header with its page: the leak search reads them, so it need not read a header per tile."""


def check_scans(
    clean: Levels, source: Levels | None, search: Search | None, step: Callable[[float], None]
) -> ScanResult:
    """Walk and compare all tiles; `step` hears how much is done (0…1) and may raise to stop."""
    findings: list[Finding] = []
    pairs = [_pair(clean, page, source, match, search) for page, match in _matched(clean, source, findings)]
    levels, outcomes = _judge_all(pairs, step)
    findings += [
        finding for pair, found in zip(pairs, outcomes, strict=True) for finding in _findings(pair.page, found)
    ]
    findings += [finding for pair in pairs for finding in _unused(pair)]
    return ScanResult(_summary(source, pairs, levels, outcomes), findings, _headers(pairs))


def _matched(clean: Levels, source: Levels | None, findings: list[Finding]) -> Iterator[tuple[Page, Page | None]]:
    """Each level with the source's first unused level of the same plane, size, tile size and codec."""
    unused: dict[str, list[Page]] = {}
    for key, page in source.keyed() if source else ():
        unused.setdefault(key, []).append(page)
    for key, page in clean.keyed():
        candidates = unused.get(key, [])
        at = next((at for at, other in enumerate(candidates) if _alike(page, other)), None)
        if at is None and source is not None:
            findings.append(Finding("scans", "level-without-source", page.path, "no level of the source is like it"))
        yield page, None if at is None else candidates.pop(at)


def _alike(page: Page, other: Page) -> bool:
    shape = (page.size, page.tile, page.codec, page.samples, page.bits, page.planar, len(page.offsets))
    return shape == (other.size, other.tile, other.codec, other.samples, other.bits, other.planar, len(other.offsets))


def _pair(clean: Levels, page: Page, source: Levels | None, match: Page | None, search: Search | None) -> Pair:
    pair = Pair(clean.file, page, HeaderBook(page) if page.is_jpeg else None, search=search)
    if source is not None and match is not None:
        pair.source, pair.source_page = source.file, match
        pair.source_book = HeaderBook(match) if match.is_jpeg else None
    return pair


def _judge_all(
    pairs: Sequence[Pair], step: Callable[[float], None]
) -> tuple[list[NDArray[np.uint8]], list[list[Outcome]]]:
    digests = [np.tile(np.frombuffer(EMPTY, np.uint8), (len(pair.page.offsets), 1)) for pair in pairs]
    outcomes: list[list[Outcome]] = [[] for _ in pairs]
    total = sum(int(pair.page.counts.sum()) for pair in pairs) or 1
    done = 0
    jobs = ((number, pair, tiles) for number, pair in enumerate(pairs) for tiles in runs(pair.page))
    for number, outcome in _in_threads(jobs):
        digests[number][outcome.tiles] = np.frombuffer(outcome.digests, np.uint8).reshape(-1, 32)
        outcomes[number].append(outcome)
        done += int(pairs[number].page.counts[outcome.tiles].sum())
        step(done / total)
    return digests, outcomes


def _in_threads(jobs: Iterable[tuple[int, Pair, NDArray[np.int64]]]) -> Iterator[tuple[int, Outcome]]:
    """Judge blocks on two threads with few blocks under way, so that memory stays flat."""
    waiting: list[tuple[int, Future[Outcome]]] = []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="verify") as pool:
        for number, pair, tiles in jobs:
            waiting.append((number, pool.submit(judge_block, pair, tiles)))
            if len(waiting) > THREADS:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _findings(page: Page, outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        counts.update(outcome.counts)
    shown: Counter[str] = Counter()
    for tile, code in (wrong for outcome in outcomes for wrong in outcome.wrong):
        shown[code] += 1
        if shown[code] <= MAX_FINDINGS_PER_CODE:
            yield Finding("scans", code, f"{page.path}/{page.piece}[{tile}]", DETAILS[code])
    for code, count in counts.items():
        if count > MAX_FINDINGS_PER_CODE:
            yield Finding("scans", code, page.path, f"{DETAILS[code]}: {count} in all")


def _unused(pair: Pair) -> Iterator[Finding]:
    """Shared JPEG tables that no tile asks for."""
    if pair.book is not None and pair.book.unused:
        yield Finding("structure", "jpeg-tables", f"{pair.page.path}/347", "holds a table that no tile uses")


def _summary(
    source: Levels | None,
    pairs: Sequence[Pair],
    levels: Sequence[NDArray[np.uint8]],
    outcomes: Sequence[Sequence[Outcome]],
) -> ScanSummary:
    compared = sum(int((pair.page.counts > 0).sum()) for pair in pairs if pair.source)
    roots = [merkle_root(level.tobytes()) for level in levels]
    return ScanSummary(
        method="bit-identical" if source else "none",
        tiles=sum(len(pair.page.offsets) for pair in pairs),
        compared=compared,
        identical=sum(outcome.identical for found in outcomes for outcome in found),
        merkle_root=merkle_root(b"".join(roots)).hex(),
        level_roots=tuple(root.hex() for root in roots),
        digests=b"".join(level.tobytes() for level in levels),
    )


def _headers(pairs: Sequence[Pair]) -> tuple[tuple[str, bytes], ...]:
    return tuple((f"{pair.page.path}/tiles", header) for pair in pairs if pair.book for header in pair.book.known)
