"""The commands that look at a slide or make something of a clean one: who parses is a child, here its answer is read.

`Does` calls a function of `coverslip.confined.looks` by name, in a child or, where there is none, in this process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coverslip import answers
from coverslip.answers import Inspection, Planned, Verdict
from coverslip.clearing import clear
from coverslip.confined.messages import Answered, Declined, Outcome, Task
from coverslip.durable import our_errors
from coverslip.errors import ChildCrashed, OutputExists, by_code
from coverslip.forms import Form, viewer_library
from coverslip.names import export_name, index_beside
from coverslip.policy import files_of
from coverslip.progress import Progress, silent
from coverslip.publishing import publish
from coverslip.rooms import sweep, workspace

Does = Callable[[str, Task, Progress], Outcome]


def inspection(does: Does, slide: Path) -> Inspection:
    """What a slide is. Raises what opening it does, and what can befall a child."""
    with _room() as room:
        _done(does("inspect", Task(slide, room, "", b""), silent))
        return answers.read(room, Inspection)


def planned(does: Does, slide: Path, policy: str) -> Planned:
    """What would happen to a slide. Raises as `inspection`, and PolicyInvalid."""
    with _room() as room:
        _done(does("plan", Task(slide, room, policy, b"", also=files_of(policy)), silent))
        return answers.read(room, Planned)


def verdict(does: Does, clean: Path, source: Path | None, progress: Progress = silent) -> Verdict:
    """What the verifier says of a clean slide. Raises as `inspection`."""
    with _room() as room:
        _done(does("verify", Task(clean, room, "", b"", other=source), progress))
        return answers.read(room, Verdict)


def tiled(does: Does, clean: Path, *, complete: bool = False, progress: Progress = silent) -> Path:
    """Write the pyramid of a clean slide beside it; return its path. Raises as `build_pyramid`, and OutputExists.

    It is made in a hidden folder beside the slide, which a build that was killed leaves for the next one to go on in.
    """
    target = index_beside(clean)
    if target.exists():
        raise OutputExists(where=target.name)
    room = clean.absolute().with_name(f".{target.name}.begun")
    with our_errors("pyramid"):
        room.mkdir(mode=0o700, exist_ok=True)
    if room.is_symlink():
        raise OutputExists(where=room.name)
    try:
        _done(does("pyramid", Task(clean, room, "", b"", complete=complete), progress))
        _hand_over(room, target.parent, [target.name])
    finally:
        _left_if_begun(room)
    return target


def exported(
    does: Does, clean: Path, form: Form, out: Path, *, openseadragon: Path | None = None, progress: Progress = silent
) -> Path:
    """Write a clean slide's tiles into the folder `out`, as `exporting.export` does; return what to open."""
    library = viewer_library(openseadragon) if form is Form.STATIC else None
    index = index_beside(clean)
    if not index.exists():
        tiled(does, clean, progress=progress)
    names = {
        Form.DZI: [f"{export_name(clean)}.dzi", f"{export_name(clean)}_files"],
        Form.SZI: [f"{export_name(clean)}.szi"],
        Form.STATIC: [export_name(clean)],
    }[form]
    sweep(out)
    with workspace(out) as room:
        _done(does(form.value, Task(clean, room, "", b"", also=(index,), other=library), silent))
        first, *_ = _hand_over(room, out, names)
    return first / "index.html" if form is Form.STATIC else first


@contextmanager
def _room() -> Iterator[Path]:
    """A hidden folder for what is unpacked on the way, and for the answer."""
    folder = Path(tempfile.gettempdir())
    sweep(folder)
    with workspace(folder) as room:
        yield room


def _done(outcome: Outcome) -> None:
    """Nothing, or the error a child told of."""
    match outcome:
        case Answered():
            return
        case Declined(code=code, where=where, detail=detail):
            raise by_code(code)(detail, where=where)
        case _:
            raise ChildCrashed("The child did something else than it was asked.")


def _hand_over(room: Path, out: Path, names: list[str]) -> list[Path]:
    """Give what was made its final name: plain files and folders only, a link could stand for anything."""
    for name in names:
        if not _plain(room / name):
            raise ChildCrashed("A file the child spoke of is not there.")
    return publish(room, out, dict.fromkeys(names))


def _plain(path: Path) -> bool:
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        return False
    return all(
        entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
        for folder, _, _ in os.walk(path)
        for entry in os.scandir(folder)
    )


def _left_if_begun(room: Path) -> None:
    """What a build that ended has no more use for goes; what one that was interrupted wrote down stays."""
    with our_errors("pyramid"):
        if room.is_dir() and not any(room.glob("*.journal")):
            clear(room)
