"""The work of the commands that look at a slide or at what was made of one: each leaves its answer in its room."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import wraps
from pathlib import Path
from typing import assert_never

from coverslip import answers, policy, preflight
from coverslip.answers import Inspection, Planned, Ruled, Seen
from coverslip.confined.messages import Answered, Declined, Outcome, Task, place, sentence
from coverslip.confined.probing import probing
from coverslip.elements import Element
from coverslip.errors import CoverslipError
from coverslip.exporting import export
from coverslip.formats import AnySlide, choose, open_slide
from coverslip.forms import Form
from coverslip.intake import arrived
from coverslip.names import index_beside
from coverslip.pipeline import plan_slide
from coverslip.policy import Decision, Keep, Remove, Replace
from coverslip.progress import Progress, Stage
from coverslip.tiling import build_pyramid
from coverslip.verify import as_dict, verify_alone

Work = Callable[[Task, Progress], Outcome]


def _behind_walls(work: Work) -> Work:
    """Held to less until the slide is known, and what is wrong with it told in full to the person who has it."""

    @wraps(work)
    def told(task: Task, progress: Progress) -> Outcome:
        try:
            return work(task, probing(progress))
        except CoverslipError as error:
            return Declined(code=error.code, where=place(error.where), detail=sentence(error.detail))

    return told


@_behind_walls
def inspect(task: Task, progress: Progress) -> Outcome:
    """What a slide is, and every place in it where identity can live."""
    with arrived(task.source, task.out_dir, progress) as arrival:
        reader, declined = choose(arrival.path)
        with closing(open_slide(arrival.path)) as slide:
            inventory = (*slide.inventory(), *arrival.words)
            answers.write(task.out_dir, _inspection(slide, inventory, reader.name if reader else "none", declined))
    return Answered()


@_behind_walls
def plan(task: Task, progress: Progress) -> Outcome:
    """What would happen to every element."""
    rules = policy.load(task.policy)
    with arrived(task.source, task.out_dir, progress) as arrival, closing(open_slide(arrival.path)) as slide:
        planned = plan_slide(slide, rules, arrival.words)
        answers.write(task.out_dir, Planned(rules.name, tuple(map(_ruled, planned)), planned.counts()))
    return Answered()


@_behind_walls
def verify(task: Task, progress: Progress) -> Outcome:
    """The verifier's report on a clean slide, with `task.other` as what it was made from."""
    with arrived(task.other, task.out_dir, progress) if task.other else nullcontext() as arrival:
        for path in (task.source, *([arrival.path] if arrival else [])):
            preflight.check(path)
        report = verify_alone(task.source, arrival.path if arrival else None, progress)
    answers.write(task.out_dir, as_dict(report))
    return Answered()


@_behind_walls
def pyramid(task: Task, progress: Progress) -> Outcome:
    """The deep-zoom index of a clean slide."""
    progress(Stage.PYRAMID, 0.0)
    build_pyramid(task.source, _index(task.out_dir, task.source), complete=task.complete, progress=progress)
    return Answered()


@_behind_walls
def dzi(task: Task, progress: Progress) -> Outcome:
    """A DeepZoom folder."""
    return _exported(task, Form.DZI, progress)


@_behind_walls
def szi(task: Task, progress: Progress) -> Outcome:
    """One file that holds all tiles."""
    return _exported(task, Form.SZI, progress)


@_behind_walls
def static(task: Task, progress: Progress) -> Outcome:
    """A folder for any web server, with `task.other` as the viewer library."""
    return _exported(task, Form.STATIC, progress)


def _exported(task: Task, form: Form, progress: Progress) -> Outcome:
    progress(Stage.PYRAMID, 0.0)
    export(task.source, form, task.out_dir, openseadragon=task.other)
    return Answered()


def _index(folder: Path, clean: Path) -> Path:
    return folder / index_beside(clean).name


def _inspection(slide: AnySlide, inventory: tuple[Element, ...], reader: str, declined: dict[str, str]) -> Inspection:
    facts = slide.facts
    return Inspection(
        reader=reader,
        route=slide.route.value,
        vendor=facts.vendor,
        container=facts.container,
        levels=tuple(str(level.size) for level in facts.levels),
        mpp=(facts.mpp.x, facts.mpp.y) if facts.mpp else None,
        magnification=facts.magnification,
        planes=facts.planes,
        declined=declined,
        elements=tuple(map(_seen, inventory)),
    )


def _seen(element: Element) -> Seen:
    note = "" if element.understood else "not understood"
    return Seen(element.path, element.kind.value, note, len(element.untrusted_value))


def _ruled(decision: Decision) -> Ruled:
    return Ruled(decision.element.path, _action(decision), decision.because, decision.reason)


def _action(decision: Decision) -> str:
    match decision.action:
        case Keep():
            return "keep"
        case Remove():
            return "remove"
        case Replace(by):
            return by
        case _:
            assert_never(decision.action)
