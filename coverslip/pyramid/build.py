"""Build the deep-zoom index of a clean slide, and the tiles the slide cannot give."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

from coverslip.geometry import Size
from coverslip.progress import Progress, Stage, silent
from coverslip.pyramid.chain import Apex, Chain, Made
from coverslip.pyramid.codecs import Codecs, bits_of, shown
from coverslip.pyramid.edges import blank_tiles, edge_cells
from coverslip.pyramid.feed import CodedFeed, Feed, FullFeed, HalfFeed
from coverslip.pyramid.index import Head
from coverslip.pyramid.journal import Checkpoint
from coverslip.pyramid.partial import storage_errors, written_whole
from coverslip.pyramid.pixels import Encoding, Pixels
from coverslip.pyramid.repeats import Repeats
from coverslip.pyramid.resume import Recorder, Subject, take_up
from coverslip.pyramid.rim import LeftOut, left_out, rim_cells
from coverslip.pyramid.scene import Scene, scene_of, with_windows
from coverslip.pyramid.source import Source, pread
from coverslip.pyramid.store import TileStore
from coverslip.tiff.structure import TiffFile, open_tiff

DEFAULT_QUALITY: Final = 80
"""IJG quality of derived tiles when the source is not JPEG."""
_QUALITY_BOUNDS: Final = (70, 80)
"""Derived tiles are as good as the source within these: below, blocks show in overviews; above, only bytes grow."""
_WINDOW_PER_WORKER: Final = 3


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build made; numbers only."""

    size: Size
    planes: int
    tile: int
    dz_levels: int
    stored_levels: int
    """Deep-zoom levels of the first plane that the slide holds itself."""
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
    plane: int = 0
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
    with closing(open_tiff(clean)) as tiff, _opened(clean) as fd:
        slide = _slide(tiff, clean, fd, complete=complete)
        first = slide.scene.source(0)
        encoding = _encoding(first, quality)
        with written_whole(target) as (file, own), ThreadPoolExecutor(threads, "pyramid") as pool:
            store = TileStore.start(file, first.zoom, slide.scene.stack, encoding)
            digest = pool.submit(lambda: slide_digest or _digest_of(clean))
            for plane in range(slide.scene.stack.count):
                _prepare(slide, plane, store)
            subject = partial(_subject, digest, os.fstat(fd).st_size, complete, encoding)
            recorder = Recorder(own, store, lambda: subject() if digest.done() else None)
            cost = _cost(_jobs(slide, 0, first, encoding)) * slide.scene.stack.count
            work = Work(_units(slide, encoding), cost, progress)
            try:
                take_up(recorder, target, subject, work.skip)
                _work_off(pool, threads, work, recorder)
                with storage_errors():
                    head = store.finish(os.fstat(fd).st_size, digest.result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                recorder.close()
    return _summary(store, head)


@dataclass(frozen=True)
class Slide:
    """What is built from, and how."""

    clean: Path
    fd: int
    scene: Scene
    codecs: Codecs
    complete: bool


@dataclass(frozen=True)
class Jobs:
    """What one plane's derived tiles are made by."""

    edges: list[Unit]
    chains: list[Chain]
    deferred: dict[int, Size]
    """By reduction: columns and rows that are left to be made on request."""


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _slide(tiff: TiffFile, clean: Path, fd: int, *, complete: bool) -> Slide:
    codecs = Codecs(clean)
    return Slide(clean, fd, with_windows(scene_of(tiff), fd, codecs), codecs, complete)


def _prepare(slide: Slide, plane: int, store: TileStore) -> None:
    """All entries of a plane that no unit of work makes."""
    source = slide.scene.source(plane)
    store.begin(plane, source)
    for stand_in in blank_tiles(source, store.encoding):
        store.stand_in(plane, *stand_in)
    for reduction, inside in _jobs(slide, plane, source, store.encoding).deferred.items():
        store.defer(plane, reduction, inside, source.coded.get(reduction))


def _jobs(slide: Slide, plane: int, source: Source, encoding: Encoding) -> Jobs:
    edges = [Unit(cells, len(cells.cells), plane) for cells in edge_cells(slide.fd, source, encoding)]
    jobs = Jobs(edges, [], {})
    for feed, last in _feeds(slide, plane, source):
        chain = Chain(feed, last, source.zoom, encoding)
        found = LeftOut({}, chain) if slide.complete else left_out(chain, source)
        jobs.deferred.update(found.inside)
        if found.rest is not None:
            jobs.chains.append(found.rest)
            continue
        for reduction, inside in found.inside.items():
            edges += [Unit(cells, len(cells.cells), plane) for cells in rim_cells(chain, reduction, inside)]
    return jobs


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


def _feeds(slide: Slide, plane: int, source: Source) -> Iterator[tuple[Feed, int]]:
    """Where each chain begins, and its last reduction: the one before the next level the slide holds."""
    zoom, fd = source.zoom, slide.fd
    starts = sorted(source.held)
    repeats = Repeats(lambda offset, length: pread(fd, length, offset, "pyramid"))
    if 0 not in starts:
        yield _full_feed(slide, plane, source), (starts[0] if starts else zoom.levels) - 1
    for start, following in pairwise([*starts, zoom.levels]):
        level = source.held[start]
        if level.jpeg is None:
            assert level.recipe is not None
            yield CodedFeed(fd, level, level.recipe, zoom, start), following - 1
        elif following - start > 1:
            yield HalfFeed(fd, level, level.jpeg, zoom, start, repeats, source.empty), following - 1


def _full_feed(slide: Slide, plane: int, source: Source) -> FullFeed:
    bits = bits_of(source.base)
    window = slide.scene.channel_of(plane).window if bits == slide.scene.stack.bits else (0, (1 << bits) - 1)
    decoder = shown(slide.codecs.unpack(source.base), window, bits)
    return FullFeed(slide.fd, source.base, source.zoom, decoder, source.channels, source.empty)


def _units(slide: Slide, encoding: Encoding) -> Iterator[Unit]:
    """Plane after plane; what one needs is made when its turn comes."""
    for plane in range(slide.scene.stack.count):
        jobs = _jobs(slide, plane, slide.scene.source(plane), encoding)
        yield from jobs.edges
        for chain in jobs.chains:
            yield from _chain_units(chain, plane)


def _chain_units(chain: Chain, plane: int) -> Iterator[Unit]:
    apex = Apex(chain)
    for column, row in chain.blocks():
        yield Unit(partial(chain.make, column, row), 4**chain.reach, plane, apex, column, row)


def _cost(jobs: Jobs) -> int:
    """Of one plane, in tiles; planes are alike."""
    blocks: Iterator[int] = (4**chain.reach * chain.grid.area for chain in jobs.chains)
    return max(1, sum(unit.cost for unit in jobs.edges) + sum(blocks))


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
            store.put(tile, unit.plane)
        if top is not None and unit.apex is not None:
            for tile in unit.apex.add(unit.column, unit.row, top):
                store.put(tile, unit.plane)


def _summary(store: TileStore, head: Head) -> BuildSummary:
    return BuildSummary(
        size=store.zoom.size,
        planes=head.planes,
        tile=store.zoom.tile,
        dz_levels=store.zoom.levels,
        stored_levels=len(store.planes[0].stored),
        stored_tiles=len(store.entries) - store.tiles - store.on_request,
        derived_tiles=store.tiles,
        on_request_tiles=store.on_request,
        distinct_tiles=store.distinct,
        quality=head.quality,
        slide_bytes=head.slide_bytes,
        pyramid_bytes=head.file_bytes,
        version=head.version,
    )
