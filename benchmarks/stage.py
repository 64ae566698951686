"""A real archive with released slides in it, as workers and curators leave it, for the tile benchmark."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from coverslip.archive.archive import Archive
from coverslip.archive.records import Produced
from coverslip.archive.states import State
from coverslip.confined.messages import Made, Task
from coverslip.geometry import Size
from coverslip.progress import silent
from coverslip.pyramid import Pyramid
from coverslip.settings import Settings
from samples import aperio
from workers import work
from workers.process import produced

SIDE = Size(8192, 8100)
"""Unless a slide is given; all tissue; the last row of tiles is cropped."""
ASKED = 1000
"""Paths in a list, in random order."""


class StageFailed(Exception):
    """The slide did not go through, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Tiled:
    """One slide that went through the worker's own steps."""

    folder: Path
    produced: Produced

    @property
    def clean(self) -> Path:
        """The clean slide."""
        return self.folder / self.produced.clean_name

    @property
    def index(self) -> Path:
        """Its pyramid."""
        return self.folder / "slide.pyramid"


def tiled(folder: Path, slide: Path | None = None) -> Tiled:
    """De-identify, verify and tile a slide, one made for it unless there is one. Raises StageFailed."""
    source, out = slide or folder / "source.svs", folder / "made"
    out.mkdir()
    if slide is None:
        aperio.write(source, SIDE, tissue_share=1.0)
    outcome = work.deidentify(Task(source, out, "strict", bytes(32)), silent)
    if slide is None:
        source.unlink()
    if not isinstance(outcome, Made):
        raise StageFailed("the slide did not pass")
    work.tile(Task(out / outcome.clean_name, out, "", b"", outcome.sha256), silent)
    return Tiled(out, produced(outcome))


def put(archive: Archive, slide: Tiled, state: State) -> str:
    """Bring the slide into the archive by the moves the queue and a curator make; returns its id."""
    catalog = archive.catalog
    upload = catalog.create_upload("bench", 1, datetime.now(UTC) + timedelta(days=1), "slide.svs", {})
    generation = catalog.begin_patch(upload.uid)
    catalog.advance(upload.uid, generation, 1)
    sid = catalog.finish_upload(upload.uid, generation, "0" * 64, "strict")
    claim = catalog.claim(catalog.jobs(sid)[-1].id, "bench")
    if claim is None:
        raise StageFailed("the job is not to be had")
    with archive.storage.scratch(sid, claim.artefact) as draft:
        final = draft / "final"
        final.mkdir(mode=0o700)
        for path in slide.folder.iterdir():
            os.link(path, final / path.name)
        archive.publish(claim, final, slide.produced)
    if state is not State.IN_REVIEW:
        archive.transition(sid, state, "bench")
    return sid


@dataclass(frozen=True, slots=True)
class Stage:
    """What the servers are asked about."""

    settings: Settings
    slide: Tiled
    released: tuple[str, ...]
    reviewed: str
    key: str
    """A curator's."""
    stored: tuple[str, ...]
    """`level/column_row.jpg` of tiles the slide itself holds, at random."""
    on_request: tuple[str, ...]
    """The same of tiles that are made of four of those when somebody asks."""
    derived: tuple[str, ...]
    """The same of tiles that were made: levels in between, and the cropped last row."""


def build(folder: Path, slides: int, source: Path | None = None) -> Stage:
    """Fill an archive with `slides` released slides, all hard links of one, and one that waits for a curator."""
    slide = tiled(folder, source)
    settings = Settings(data_dir=folder / "data")
    archive = Archive.open(settings, with_vault=True)
    try:
        released = tuple(put(archive, slide, State.RELEASED) for _ in range(slides))
        reviewed = put(archive, slide, State.IN_REVIEW)
        _, key = archive.catalog.create_key("bench", ["curator"], "bench")
    finally:
        archive.close()
    return Stage(settings, slide, released, reviewed, key, *_places(slide))


def _places(slide: Tiled) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Tiles that are stored, made on request and derived, each in random order."""
    stored: list[str] = []
    on_request: list[str] = []
    derived: list[str] = []
    with Pyramid.open(slide.clean, slide.index) as pyramid:
        for level in range(pyramid.dz_levels):
            grid = pyramid.grid.grid(pyramid.grid.largest - level)
            for column, row in product(range(grid.width), range(grid.height)):
                made = on_request if pyramid.on_request(level, column, row) else derived
                kind = stored if pyramid.stored(level, column, row) else made
                kind.append(f"{level}/{column}_{row}.jpg")
    chance = random.Random(0)
    return (
        tuple(chance.choices(stored, k=ASKED)),
        tuple(chance.choices(on_request, k=ASKED)),
        tuple(chance.choices(derived, k=ASKED)),
    )
