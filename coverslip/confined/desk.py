"""Where the command line works on slides: each in a confined child, so that no file can end the batch or leave it.

The child writes into a room of its own; what it made gets its final name here, after it is gone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Self, assert_never

from coverslip.batch import Batch
from coverslip.confined import early
from coverslip.confined.bounds import USUAL, Bounds
from coverslip.confined.layers import Limits
from coverslip.confined.messages import Answered, Declined, Doubted, Made, Outcome, Task, Tiled
from coverslip.durable import our_errors
from coverslip.errors import ChildCrashed, CoverslipError
from coverslip.names import stem
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.outcomes import Outcome as Ended
from coverslip.progress import Progress
from coverslip.publishing import publish
from coverslip.rooms import workspace

OUTPUT_FLOOR: Final = 256 << 20
HASHED_MEANWHILE: Final = 512 << 20
"""Bytes; a larger slide is hashed by its child, beside what else it does."""
IN_SEVERAL_FILES: Final = (".vms", ".vmu", ".tif", ".dcm", "")
"""Endings of slides that may have files beside them under names only they know."""


class Desk:
    """Does the slides of a batch one after the other; use as a context manager."""

    def __init__(self, module: str = early.WORK) -> None:
        """Start importing in the process that children are forked from; returns at once.

        `module` holds the work: `deidentify`, or what looks at slides.
        """
        self._module = module
        self._zygote = early.zygote(module)
        self._zygote.start()

    # What follows imports what it needs when it is called: the other process loads its libraries meanwhile.

    @cached_property
    def _bounds(self) -> Bounds:
        """What the environment says."""
        return bounds()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
        self._zygote.stop()

    def __call__(self, slide: Path, batch: Batch, progress: Progress) -> Ended:
        """One slide. However its child ends, that is the slide's outcome, and the next one is none the worse."""
        from coverslip.policy import files_of

        strict = self._bounds.strict_confinement  # a setting that is wrong is no slide's fault
        try:
            with workspace(batch.out) as room:
                beside = tuple(_beside(slide))
                also = (*beside, *files_of(batch.policy_name))
                task = Task(
                    slide, room, batch.policy_name, batch.key, self._digest_meanwhile(slide), also=also,
                    pyramid=batch.pyramid, complete=batch.complete,
                )  # fmt: skip
                limits = self._limits((slide,), beside)
                work = f"{self._module}:deidentify"
                outcome = self._zygote.run(work, task, limits, progress=progress, strict=strict)
                return _handed_over(outcome, room, batch)
        except CoverslipError as error:
            return Rejected(error.code, error.where, error.detail)

    def _digest_meanwhile(self, slide: Path) -> str:
        """The slide's digest, taken while the other process still loads its libraries; nothing when it is ready.

        Raises StorageFailed.
        """
        with our_errors("source"):
            if self._zygote.is_ready() or not slide.is_file() or slide.stat().st_size > HASHED_MEANWHILE:
                return ""
            with slide.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

    def does(self, name: str, task: Task, progress: Progress) -> Outcome:
        """Call a function of the desk's module in a child. Raises the child's typed error, and what befell it."""
        given = (task.source, *((task.other,) if task.other else ()))
        beside = tuple(path for each in given for path in _beside(each))
        whole = replace(task, also=(*task.also, *beside))
        limits, strict = self._limits(given, whole.also), self._bounds.strict_confinement
        return self._zygote.run(f"{self._module}:{name}", whole, limits, progress=progress, strict=strict)

    def _limits(self, given: tuple[Path, ...], beside: tuple[Path, ...]) -> Limits:
        from coverslip.packed import most_unpacked

        ours = self._bounds
        size = sum(map(_size, {*given, *beside}))
        unpacked = sum(most_unpacked(each) for each in given if each.is_file())
        output = OUTPUT_FLOOR + int(size * ours.child_output_ratio) + unpacked
        return Limits(memory=ours.child_memory, cpu=ours.child_cpu, wall=ours.child_wall, output=output)


def _beside(slide: Path) -> Iterator[Path]:
    """What may belong to a slide: a MIRAX slide's folder; for others that have companions, the folder they lie in."""
    suffix = slide.suffix.lower()
    if suffix == ".mrxs":
        yield slide.with_suffix("")
    elif suffix in IN_SEVERAL_FILES and slide.is_file():
        yield slide.absolute().parent


def _size(path: Path) -> int:
    """Bytes of a file, or of the files below a folder."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(
        entry.stat(follow_symlinks=False).st_size
        for folder, _, _ in os.walk(path)
        for entry in os.scandir(folder)
        if entry.is_file(follow_symlinks=False)
    )


def _handed_over(outcome: Outcome, room: Path, batch: Batch) -> Ended:
    """What the child made, under its final name. Raises OutputExists, StorageFailed and `ChildCrashed`."""
    match outcome:
        case Made():
            return _published(outcome, room, batch)
        case Doubted(code=code, reasons=reasons, report=report):
            given = _moved(room, batch.out, [report])[0] if report else None
            return Quarantined(code, reasons, given)
        case Declined(code=code, where=where, detail=detail):
            return Rejected(code, where, detail)
        case Tiled() | Answered():
            raise ChildCrashed("The child did something else than it was asked.")
        case other:
            assert_never(other)


def _published(made: Made, room: Path, batch: Batch) -> Ended:
    if made.facts is None:
        raise ChildCrashed("The child did not say what it made.")
    bare = stem(made.clean_name)
    names = [made.clean_name, *(f"{bare}.{end}" for end in ("certificate.json", "certificate.html", "scans.sha256"))]
    if batch.pyramid:
        names.append(f"{bare}.pyramid")
    clean, certificate, page, scans, *pyramid = _moved(room, batch.out, names)
    counts = made.removed, made.kept, made.replaced
    said = made.sha256, made.size_bytes, made.facts, made.route
    return Cleaned(clean, certificate, page, scans, *said, *counts, *pyramid)


def _moved(room: Path, out: Path, names: list[str]) -> list[Path]:
    """Plain files only: a link could stand for anything on this machine."""
    for name in names:
        if (room / name).is_symlink() or not (room / name).is_file():
            raise ChildCrashed("A file the child spoke of is not there.")
    return publish(room, out, dict.fromkeys(names))


def bounds() -> Bounds:
    """What the environment says. Raises SettingsInvalid for any of our settings that is wrong, needed here or not.

    Where it says nothing of ours nobody loads pydantic, which reads settings and costs a command a tenth of a second.
    """
    if not any(name.upper().startswith("COVERSLIP_") for name in os.environ):
        return USUAL
    from coverslip.settings import Settings

    settings = Settings()
    return Bounds(**{field.name: getattr(settings, field.name) for field in fields(Bounds)})
