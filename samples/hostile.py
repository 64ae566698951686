"""Slides changed at random, the same for the same seed: what a parser meets when somebody means harm, or a disk does.

Each kind of slide is small, sound and full of identifiers, so that a message that repeats one can be caught.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from coverslip.geometry import Size
from coverslip.tiff.structure import open_tiff
from samples import (
    aperio,
    archives,
    dicom,
    generic,
    leica,
    mirax,
    ndpi,
    philips,
    sakura,
    trestle,
    ventana,
    vms,
    vmu,
    zeiss,
)  # fmt: skip
from samples.hostile_words import reworded

CANARY: Final = "ZQCANARY-JANE-DOE"
SIZE: Final = Size(150, 100)
EDGES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 64) - 1)
"""Integers where arithmetic goes wrong."""
MAX_CHANGES: Final = 6
TIFFS: Final = frozenset((".svs", ".tiff", ".tif", ".ndpi", ".scn", ".bif"))
WORDY: Final = TIFFS | {".vmu"}
"""Endings of files with words in them."""
REWORDED: Final = 0.4
"""Share of the damage that is done to numbers in words, where there are some."""

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of slide to damage."""

    name: str
    write: Callable[[Path], Path]
    """Make a sound one in an empty folder; gives back what is opened, a file or a folder."""
    targets: tuple[str, ...]
    """Which files of it are changed, as patterns."""
    words: bool = False
    """Whether numbers in its words are exchanged, too: where words say how pixels lie."""


def _aperio(**options: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        made = aperio.write(folder / "slide.svs", SIZE, tile=64, downsamples=(1, 2), tissue_share=1, **options)  # type: ignore[arg-type]
        made.sidecar.unlink()
        return made.path

    return write


def _generic(codec: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "slide.tiff"
        made = generic.write(path, SIZE, codec=codec, tile=64, downsamples=(1, 2), tissue_share=1, ome=codec == "lzw")
        made.sidecar.unlink()
        return made.path

    return write


def _mirax(folder: Path) -> Path:
    made = mirax.write(folder / "slide.mrxs", columns=2, rows=2, levels=2)
    made.sidecar.unlink()
    return folder


def _dicom(folder: Path) -> Path:
    return dicom.write(folder, patient=CANARY)


def _ndpi(folder: Path) -> Path:
    return ndpi.write(folder / "slide.ndpi", reference=CANARY)


def _vms(folder: Path) -> Path:
    vms.write(folder / "slide.vms", reference=CANARY)
    return folder


def _zeiss(folder: Path) -> Path:
    return zeiss.write(folder / "slide.czi", name=CANARY)


def _sakura(folder: Path) -> Path:
    return sakura.write(folder / "slide.svslide", name=CANARY)


def _leica(folder: Path) -> Path:
    return leica.write(folder / "slide.scn", barcode=CANARY)


def _philips(folder: Path) -> Path:
    return philips.write(folder / "slide.tiff", barcode=CANARY)


def _ventana(folder: Path) -> Path:
    return ventana.write(folder / "slide.bif", user=CANARY)


def _trestle(folder: Path) -> Path:
    return trestle.write(folder / "slide.tif", words=CANARY)


def _vmu(folder: Path) -> Path:
    vmu.write(folder / "slide.vmu", reference=CANARY)
    return folder


def _archive(folder: Path) -> Path:
    """A series in a ZIP archive."""
    _dicom(folder / "series")
    path = folder / "slide.zip"
    path.write_bytes(archives.pack(folder / "series"))
    shutil.rmtree(folder / "series")
    return path


KINDS: Final = (
    Kind("aperio", _aperio(), ("*.svs",)),
    Kind("aperio-bigtiff", _aperio(bigtiff=True), ("*.svs",)),
    Kind("aperio-j2k", _aperio(codec="j2k-rgb"), ("*.svs",)),
    Kind("tiff-jpeg", _generic("jpeg-ycbcr"), ("*.tiff",)),
    Kind("tiff-deflate", _generic("deflate"), ("*.tiff",)),
    Kind("tiff-lzw", _generic("lzw"), ("*.tiff",)),
    Kind("ndpi", _ndpi, ("*.ndpi",)),
    Kind("dicom", _dicom, ("*.dcm",)),
    Kind("mirax", _mirax, ("*.mrxs", "slide/Slidedat.ini", "slide/Index.dat", "slide/Data0000.dat")),
    Kind("vms", _vms, ("*.vms", "*.jpg")),
    Kind("zeiss", _zeiss, ("*.czi",)),
    Kind("sakura", _sakura, ("*.svslide",)),
    Kind("zip", _archive, ("*.zip",)),
    Kind("leica", _leica, ("*.scn",), words=True),
    Kind("philips", _philips, ("*.tiff",), words=True),
    Kind("ventana", _ventana, ("*.bif",), words=True),
    Kind("trestle", _trestle, ("*.tif", "*.Full"), words=True),
    Kind("vmu", _vmu, ("*.vmu", "*.ngr", "*.jpg"), words=True),
)


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound slide on disk, from which damaged copies are made."""

    kind: Kind
    folder: Path
    entry: Path
    structure: dict[Path, Spans]
    """Per file that may be changed: where its structure lies, as opposed to its pixels."""

    def damaged(self, seed: int, folder: Path) -> Path:
        """A copy in `folder` with one file changed; what to open. The same for the same seed."""
        dice = random.Random(f"{self.kind.name}/{seed}")
        shutil.copytree(self.folder, folder)
        target = dice.choice(sorted(self.structure))
        changed = folder / target.relative_to(self.folder)
        data = target.read_bytes()
        if self.kind.words and target.suffix in WORDY and dice.random() < REWORDED:
            changed.write_bytes(reworded(data, dice))
        else:
            changed.write_bytes(change(data, self.structure[target], dice))
        return folder / self.entry.relative_to(self.folder)


def sound(kind: Kind, folder: Path) -> Sound:
    """Write a sound slide of a kind into `folder`."""
    folder.mkdir(parents=True)
    entry = kind.write(folder)
    files = [file for pattern in kind.targets for file in sorted(folder.glob(pattern))]
    return Sound(kind, folder, entry, {file: structure(file) for file in files})


def structure(file: Path) -> Spans:
    """Where in a file a changed byte means most: TIFF directories and values, otherwise its beginning and end."""
    if file.suffix not in TIFFS:
        size = file.stat().st_size
        return ((0, min(size, 2048)), (max(0, size - 4096), size))
    tiff = open_tiff(file)
    spans = [(0, 16), *((found.at, found.end) for found in tiff.walk())]
    spans += [(each.at, each.end) for found in tiff.walk() for each in found.fields.values() if each.end > each.at]
    tiff.close()
    return tuple(spans)


def change(data: bytes, structure: Spans, dice: random.Random) -> bytes:
    """Some bytes changed, most of them where they mean something; sometimes cut, doubled, moved or zeroed instead."""
    out = bytearray(data)
    kind = dice.random()
    if kind < 0.08:
        return data[: dice.randrange(len(data))]
    if kind < 0.2:
        return _moved(out, dice)
    for _ in range(dice.randint(1, MAX_CHANGES)):
        at = _place(len(out), structure, dice)
        if dice.random() < 0.5:
            out[at] = dice.randrange(256)
        else:
            _write_edge(out, at, dice)
    return bytes(out)


def _place(length: int, structure: Spans, dice: random.Random) -> int:
    if dice.random() < 0.25:
        return dice.randrange(length)
    start, stop = dice.choice(structure)
    return min(dice.randrange(start, max(stop, start + 1)), length - 1)


def _write_edge(out: bytearray, at: int, dice: random.Random) -> None:
    width = dice.choice((1, 2, 4, 8))
    value = (dice.choice(EDGES) & ((1 << 8 * width) - 1)).to_bytes(width, dice.choice(("little", "big")))
    out[at : at + width] = value[: len(out) - at]


def _moved(out: bytearray, dice: random.Random) -> bytes:
    """A block doubled, left out, zeroed or exchanged with its neighbour."""
    first, second, third = sorted(dice.randrange(len(out) + 1) for _ in range(3))
    head, left, right, tail = (bytes(out[a:b]) for a, b in pairwise((0, first, second, third, len(out))))
    return dice.choice((head + left * 2 + right + tail, head + right + tail, head + right + left + tail,
                        head + bytes(len(left)) + right + tail))  # fmt: skip
