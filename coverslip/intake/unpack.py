"""The files of one slide out of an archive, under names that say nothing and that readers still find each other by."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from coverslip.errors import StorageFull
from coverslip.intake import settings_file
from coverslip.intake.candidate import Candidate, Kind, Member
from coverslip.intake.find import MIRAX_SETTINGS
from coverslip.intake.members import Packed
from coverslip.progress import Progress, Stage

STEM: Final = "slide"
_VENDOR_NAME: Final = re.compile(r"slidedat\.ini|index\.dat|data\d{1,6}\.dat", re.IGNORECASE | re.ASCII)
"""What MIRAX scanners call the files of every slide: nobody is named, so `Slidedat.ini` need not be changed."""
_ENDINGS: Final = {
    ending.lower(): ending
    for ending in (
        ".svs", ".tif", ".tiff", ".btf", ".ndpi", ".scn", ".bif", ".czi", ".svslide", ".vms", ".vmu", ".jpg", ".opt",
        ".dat", ".ini", ".xml", ".Full",
    )
}  # fmt: skip
"""Endings that stay; any other may be part of a name."""


def unpack(archive: Packed, slide: Candidate, folder: Path, progress: Progress) -> Path:
    """Write the slide's files below `folder` and return the path readers take.

    Raises StorageFull before the first byte when there is no room, DamagedSlide, LimitExceeded.
    """
    total = sum(member.size for member in slide.members)
    if total > shutil.disk_usage(folder).free:
        raise StorageFull("there is no room for what is packed")
    names = dict(_names(slide))
    done = 0
    for member, name in names.items():
        target = folder / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with target.open("xb") as file:
            for piece in _content(archive, member, slide, names):
                file.write(piece)
                done += len(piece)
                progress(Stage.OPEN, min(done / max(total, 1), 1.0))
    return _opened_as(slide, folder)


def _content(archive: Packed, member: Member, slide: Candidate, names: dict[Member, str]) -> Iterable[bytes]:
    """A file's bytes; where it names other files, their new names."""
    if not _names_others(member, slide):
        return archive.read(member)
    exchange = {other.name.casefold(): Path(name).name for other, name in names.items() if other is not member}
    return [settings_file.renamed(settings_file.text(archive.read(member)), exchange)]


def _names_others(member: Member, slide: Candidate) -> bool:
    if slide.kind is Kind.MIRAX:
        return member.name.lower() == MIRAX_SETTINGS
    return slide.kind is Kind.HAMAMATSU and member is slide.entry


def _names(slide: Candidate) -> Iterator[tuple[Member, str]]:
    """The new name of each file."""
    match slide.kind:
        case Kind.DICOM:
            yield from ((member, f"{STEM}/{number:05}.dcm") for number, member in enumerate(slide.members, 1))
        case Kind.MIRAX:
            if slide.entry is not None:
                yield slide.entry, f"{STEM}.mrxs"
            yield from ((member, f"{STEM}/{_in_mirax(member, n)}") for n, member in enumerate(slide.others, 1))
        case Kind.HAMAMATSU | Kind.FILE:
            yield from _beside_each_other(slide)


def _beside_each_other(slide: Candidate) -> Iterator[tuple[Member, str]]:
    """Files of one folder: Trestle's share a stem, Hamamatsu's are named in the first."""
    taken: set[str] = set()
    for number, member in enumerate(slide.members):
        ending = _ENDINGS.get(member.ending, "")
        name = f"{STEM}{ending}"
        if name in taken:
            name = f"part{number}{ending}"
        taken.add(name)
        yield member, name


def _in_mirax(member: Member, number: int) -> str:
    if member.name.lower() == MIRAX_SETTINGS:
        return "Slidedat.ini"
    return member.name if _VENDOR_NAME.fullmatch(member.name) else f"part{number}{_ENDINGS.get(member.ending, '')}"


def _opened_as(slide: Candidate, folder: Path) -> Path:
    match slide.kind:
        case Kind.DICOM:
            return folder / STEM
        case Kind.MIRAX:
            entry = folder / f"{STEM}.mrxs"
            entry.touch()  # OpenSlide asks only that it is there; people choose the folder and forget it
            return entry
        case Kind.HAMAMATSU | Kind.FILE:
            return folder / next(name for _, name in _beside_each_other(slide))
