"""Complete pyramids in a bucket: a file beside the index a slide came with, until nobody reads that one any more."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from coverslip.archive.catalog import Catalog
from coverslip.archive.clean import BucketSlides, CleanFile
from coverslip.archive.records import Claim
from coverslip.errors import LeaseLost, NotFound, StateConflict

SUFFIX: Final = ".pyramid"


def put_beside(catalog: Catalog, clean: BucketSlides, claim: Claim, made: Path) -> None:
    """Keep a complete pyramid under a name no other attempt has, and record that it counts from now on.

    Raises `LeaseLost`, and `StateConflict` when somebody decided about the slide meanwhile; then it goes again.
    """
    target, name = claim.target or "", f"{claim.artefact}{SUFFIX}"
    clean.add(made, claim.sid, target, name)
    try:
        catalog.finish_pyramid(claim, index_name=name)
    except (LeaseLost, StateConflict):
        clean.remove_file(claim.sid, target, name)
        raise


def discard(catalog: Catalog, clean: BucketSlides, before: datetime) -> int:
    """Delete indexes that a slide has had no use for since that moment; returns how many.

    Nobody reads an old one by then, and one whose record never came is nobody's.
    """
    dead = [each for each in clean.files(SUFFIX) if each.since < before and _is_old(catalog, each, before)]
    for each in dead:
        clean.remove_file(each.sid, each.artefact, each.name)
    return len(dead)


def _is_old(catalog: Catalog, file: CleanFile, before: datetime) -> bool:
    # In this order: an attempt that ends in between has its pointer by the time we look.
    if catalog.is_running(file.sid, file.name.removesuffix(SUFFIX)):
        return False
    try:
        slide = catalog.slide(file.sid)
    except NotFound:
        return False  # an orphan goes as a whole
    return slide.artefact == file.artefact and slide.index != file.name and slide.updated < before
