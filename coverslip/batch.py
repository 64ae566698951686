"""Many slides one after another: each ends in its own result, none stops the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coverslip.errors import StorageFailed
from coverslip.outcomes import Cleaned, Outcome, Rejected
from coverslip.progress import Progress
from coverslip.rooms import sweep


@dataclass(frozen=True, slots=True)
class Batch:
    """What to do with which slides."""

    slides: tuple[Path, ...]
    out: Path
    policy_name: str
    """A built-in policy or a file."""
    key: bytes = field(repr=False)
    pyramid: bool = False
    complete: bool = False
    """Whether pyramids hold every tile their slides do not."""


@dataclass(frozen=True, slots=True)
class Result:
    """How one slide of a batch ended."""

    number: int
    """Position in the batch, from 1: output never repeats the source's name."""
    outcome: Outcome

    @property
    def well(self) -> bool:
        """Whether a verified clean slide came of it."""
        return isinstance(self.outcome, Cleaned)


class Watcher(Protocol):
    """Somebody who shows how far a batch is."""

    def progress(self, label: str) -> Progress:
        """A progress callback for one slide."""
        ...

    def finished(self, result: Result) -> None:
        """Called when a slide has ended, however it ended."""
        ...


Work = Callable[[Path, Batch, Progress], Outcome]
"""Does one slide of a batch; whatever is wrong with the slide is its outcome."""


def run_batch(batch: Batch, watcher: Watcher, work: Work) -> tuple[Result, ...]:
    """Every slide of the batch in order; what batches that were killed left in the same folder is deleted first."""
    sweep(batch.out)
    return tuple(_run(batch, watcher, work))


def whole(slides: Iterable[Path]) -> tuple[Path, ...]:
    """Each slide once: several DICOM files of one folder are the folder, as the files of a series are one slide."""
    given = dict.fromkeys(slides)
    dicom = {slide: slide.absolute().parent for slide in given if _is_dicom(slide)}
    folders = Counter(dicom.values())
    series = {slide: folder for slide, folder in dicom.items() if folders[folder] > 1}
    return tuple(dict.fromkeys(series.get(slide, slide) for slide in given))


def _is_dicom(slide: Path) -> bool:
    """By the four letters after the preamble (PS3.10, 7.1)."""
    try:
        with slide.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _unseen(slide: Path) -> Rejected | None:
    """What came of a slide that is not there: nothing to look for damage in."""
    try:
        slide.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Rejected(StorageFailed.code, "", "There is no such file or folder.")
    except OSError:
        return Rejected(StorageFailed.code, "", "The file or folder cannot be looked at.")
    return None


def _run(batch: Batch, watcher: Watcher, work: Work) -> Iterator[Result]:
    for number, slide in enumerate(batch.slides, 1):
        progress = watcher.progress(slide.name)
        result = Result(number, _unseen(slide) or work(slide, batch, progress))
        watcher.finished(result)
        yield result
