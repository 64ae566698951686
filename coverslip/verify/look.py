"""What takes looking at pictures: whether the clean slide shows what it must not, and what it must.

Opens both files itself, since another process may do it (`coverslip.beside`).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from coverslip.errors import DamagedSlide
from coverslip.slide import Route
from coverslip.verify.associated import private_pictures, shown_pictures
from coverslip.verify.labels import Picture, check_labels
from coverslip.verify.report import Finding
from coverslip.verify.scene import Scene, check_scene
from coverslip.verify.sides import open_side, open_source


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen."""

    likeness: float
    """Of the private picture and the picture of the clean slide that are most alike."""
    labels: list[Finding]
    scene: Scene
    others: list[Finding]


def look(clean: Path, source: Path | None, route: Route) -> Seen:
    """Compare every picture with the private ones of the source, and every level with its base.

    Raises `InputError` for a file that cannot be walked, and `StorageFailed`.
    """
    shown: tuple[Picture, ...] = ()
    likeness, labels = 0.0, []
    with ExitStack() as stack:
        judged = open_side(clean, stack)
        origin = open_source(source, route, stack)
        try:
            shown = shown_pictures(clean, judged.pages)
        except DamagedSlide as error:
            labels = [Finding("labels", "undecodable-picture", error.where, error.detail)]
        if source is not None and shown:
            likeness, labels = check_labels(private_pictures(source, origin.pages if origin else ()), shown)
        planes = judged.stack.each if judged.stack else (judged.levels,)
        scene, others = check_scene(clean, judged.file, planes, shown)
    return Seen(likeness, labels, scene, others)
