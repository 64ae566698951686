"""Build the deep-zoom index of a clean slide, and the tiles the slide cannot give."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from coverslip.geometry import Size
from coverslip.progress import Progress, Stage, silent
from coverslip.pyramid.chain import Apex, Chain, Made
from coverslip.pyramid.codecs import tile_decoder
from coverslip.pyramid.edges import blank_tiles, edge_cells
from coverslip.pyramid.feed import CodedFeed, Feed, FullFeed, HalfFeed
from coverslip.pyramid.index import Head
from coverslip.pyramid.journal import Checkpoint
from coverslip.pyramid.partial import storage_errors, written_whole
from coverslip.pyramid.pixels import Encoding, Pixels
from coverslip.pyramid.repeats import Repeats
from coverslip.pyramid.resume import Recorder, Subject, take_up
from coverslip.pyramid.rim import left_out, rim_cells
from coverslip.pyramid.source import Source, pread, scene_of
from coverslip.pyramid.store import TileStore
from coverslip.tiff.structure import open_tiff

DEFAULT_QUALITY: Final = 80
"""IJG quality of derived tiles when the source is not JPEG."""
_QUALITY_BOUNDS: Final = (70, 80)
"""Derived tiles are as good as the source within these: below, blocks show in overviews; above, only bytes grow."""
_WINDOW_PER_WORKER: Final = 3


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build made; numbers only."""

    size: Size
    tile: int
    dz_levels: int
    stored_levels: int
    """Deep-zoom levels the slide holds itself."""
    stored_tiles: int
    """Tiles served from the slide's own bytes."""
    derived_tiles: int
    on_request_tiles: int
    """Tiles nobody keeps: made of one or four of the slide's own when they are asked for."""
    distinct_tiles: int
    """Derived tiles that were stored; the others equal one of these."""
    quality: int
    """IJG quality of derived tiles."""
    slide_bytes: int
    pyramid_bytes: int
    version: str
    """Content version, 32 hex digits."""


Job = Callable[[], tuple[list[Made], Pixels | None]]


@dataclass(frozen=True, slots=True)
class Unit:
    """What one thread does at a time."""

    work: Job
    cost: int
    """In tiles, for progress."""
    apex: Apex | None = None
    column: int = 0
    row: int = 0


def build(
    clean: Path,
    target: Path,
    *,
    complete: bool = False,
    quality: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
    slide_digest: bytes | None = None,
) -> BuildSummary:
    """Write the index of `clean` to `target`, which appears when it is whole.

    A level between two that the slide holds, and one it holds in a codec no browser shows, are left to be made on
    request, unless `complete`; their tiles are the same bytes either way. `quality` is that of derived tiles (IJG,
    1–100), by default near the source's. `slide_digest` is the slide's SHA-256 for callers who have it already; it is
    computed otherwise. The same slide gives the same index, whatever `workers`. A build of this index that was killed
    is gone on with.

    Raises UnsupportedSlide, DamagedSlide or LimitExceeded when the slide is at fault, OutputExists, StorageFailed, and
    whatever `progress` raises to stop the work.
    """
    threads = workers or os.cpu_count() or 1
    tiff = open_tiff(clean)
    try:
        source = scene_of(tiff)
    finally:
        tiff.close()
    fd = os.open(clean, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with written_whole(target) as (file, own), ThreadPoolExecutor(threads, "pyramid") as pool:
            encoding = _encoding(source, quality)
            store = TileStore.start(file, source, encoding)
            digest = pool.submit(lambda: slide_digest or _digest_of(clean))
            for stand_in in blank_tiles(source, encoding):
                store.stand_in(*stand_in)
            edges = [Unit(cells, len(cells.cells)) for cells in edge_cells(fd, source, encoding)]
            chains = [Chain(feed, last, source.zoom, encoding) for feed, last in _feeds(fd, clean, source)]
            if not complete:
                chains = [rest for chain in chains if (rest := _defer(chain, source, store, edges))]
            subject = partial(_subject, digest, os.fstat(fd).st_size, complete, encoding)
            recorder = Recorder(own, store, lambda: subject() if digest.done() else None)
            work = Work(_units(edges, chains), _cost(edges, chains), progress)
            try:
                take_up(recorder, target, subject, work.skip)
                _work_off(pool, threads, work, recorder)
                with storage_errors():
                    head = store.finish(os.fstat(fd).st_size, digest.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                recorder.close()
    finally:
        os.close(fd)
    return _summary(store, head)


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _subject(digest: Future[bytes], slide_bytes: int, complete: bool, encoding: Encoding) -> Subject:
    with storage_errors():
        return Subject(digest.result(), slide_bytes, complete, encoding.quality, encoding.subsampling)


def _encoding(source: Source, quality: int | None) -> Encoding:
    """Like the source's luma quality, within bounds."""
    form = source.base.jpeg
    lowest, highest = _QUALITY_BOUNDS
    nearest = DEFAULT_QUALITY if form is None else max(lowest, min(highest, form.quality))
    return Encoding(quality or nearest)


def _feeds(fd: int, clean: Path, source: Source) -> Iterator[tuple[Feed, int]]:
    """Where each chain begins, and its last reduction: the one before the next level the slide holds."""
    zoom = source.zoom
    starts = sorted(source.held)
    repeats = Repeats(lambda offset, length: pread(fd, length, offset, "pyramid"))
    if 0 not in starts:
        yield _full_feed(fd, clean, source), (starts[0] if starts else zoom.levels) - 1
    for start, following in pairwise([*starts, zoom.levels]):
        level = source.held[start]
        if level.jpeg is None:
            assert level.recipe is not None
            yield CodedFeed(fd, level, level.recipe, zoom, start), following - 1
        elif following - start > 1:
            yield HalfFeed(fd, level, level.jpeg, zoom, start, repeats), following - 1


def _full_feed(fd: int, clean: Path, source: Source) -> FullFeed:
    return FullFeed(fd, source.base, source.zoom, tile_decoder(clean, source.base), source.channels)


def _defer(chain: Chain, source: Source, store: TileStore, edges: list[Unit]) -> Chain | None:
    """Leave what can be made on request out of a chain, but for rims; what is left of it."""
    found = left_out(chain, source)
    for reduction, inside in found.inside.items():
        store.defer(reduction, inside, source.coded.get(reduction))
        if found.rest is None:
            edges += [Unit(cells, len(cells.cells)) for cells in rim_cells(chain, reduction, inside)]
    return found.rest


def _chain_units(chain: Chain) -> Iterator[Unit]:
    apex = Apex(chain)
    for column, row in chain.blocks():
        yield Unit(partial(chain.make, column, row), 4**chain.depth, apex, column, row)


def _units(edges: list[Unit], chains: list[Chain]) -> Iterator[Unit]:
    yield from edges
    for chain in chains:
        yield from _chain_units(chain)


def _cost(edges: list[Unit], chains: list[Chain]) -> int:
    blocks: Iterator[int] = (
        4**chain.depth * chain.zoom.grid(chain.feed.reduction + chain.depth).area for chain in chains
    )
    return max(1, sum(unit.cost for unit in edges) + sum(blocks))


@dataclass
class Work:
    """All units in order, and how far they are."""

    units: Iterator[Unit]
    total: int
    progress: Progress
    count: int = 0
    done: int = 0

    def skip(self, checkpoint: Checkpoint) -> None:
        """Leave out what another build had finished; pixels that tiles above it wait for are put in their place."""
        skipped = list(islice(self.units, checkpoint.units - self.count))
        blocks = [unit for unit in skipped if unit.apex is not None and unit.apex.chain.goes_on]
        for unit, top in zip(blocks, checkpoint.tops, strict=True):
            assert unit.apex is not None
            deque(unit.apex.join(unit.column, unit.row, top), maxlen=0)
        self.count = checkpoint.units
        self.report(sum(unit.cost for unit in skipped))

    def report(self, cost: int) -> None:
        """Say that so much more is done."""
        self.done += cost
        self.progress(Stage.PYRAMID, min(1.0, self.done / self.total))


def _work_off(pool: ThreadPoolExecutor, threads: int, work: Work, recorder: Recorder) -> None:
    """Run all units, a bounded number ahead, and take their results in order: so the bytes never depend on timing."""
    waiting: deque[tuple[Unit, Future[tuple[list[Made], Pixels | None]]]] = deque()
    while True:
        for unit in islice(work.units, threads * _WINDOW_PER_WORKER - len(waiting)):
            waiting.append((unit, pool.submit(unit.work)))
        if not waiting:
            break
        unit, future = waiting.popleft()
        made, top = future.result()
        _take(recorder.store, unit, made, top)
        recorder.finished(top)
        work.report(unit.cost)


def _take(store: TileStore, unit: Unit, made: list[Made], top: Pixels | None) -> None:
    with storage_errors():
        for tile in made:
            store.put(tile)
        if top is not None and unit.apex is not None:
            for tile in unit.apex.add(unit.column, unit.row, top):
                store.put(tile)


def _summary(store: TileStore, head: Head) -> BuildSummary:
    return BuildSummary(
        size=store.zoom.size,
        tile=store.zoom.tile,
        dz_levels=store.zoom.levels,
        stored_levels=int(store.levels["stored"].sum()),
        stored_tiles=len(store.entries) - store.tiles - store.on_request,
        derived_tiles=store.tiles,
        on_request_tiles=store.on_request,
        distinct_tiles=store.distinct,
        quality=head.quality,
        slide_bytes=head.slide_bytes,
        pyramid_bytes=head.file_bytes,
        version=head.version,
    )
