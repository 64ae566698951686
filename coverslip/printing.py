"""What the command line prints: tables for people, JSON for programs, progress while it works. Never a value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, assert_never

from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from coverslip import progress as steps
from coverslip.batch import Result
from coverslip.confined.doctor import Wall, enough
from coverslip.elements import Element
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.policy import Decision, Keep, Plan, Policy, Remove, Replace
from coverslip.policy.reach import out_of_reach

if TYPE_CHECKING:
    from coverslip.formats import AnySlide

_SHARES = {
    steps.Stage.OPEN: (0.0, 0.0), steps.Stage.PLAN: (0.0, 0.1), steps.Stage.WRITE: (0.1, 0.4),
    steps.Stage.VERIFY: (0.5, 0.5), steps.Stage.PYRAMID: (0.0, 1.0),
}  # fmt: skip
"""Where each stage begins on the bar, and how much of it it takes."""


class Console:
    """Progress bars on standard error, results on standard output."""

    def __init__(self, *, quiet: bool) -> None:
        """Show nothing while working when `quiet`."""
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[stage]}"), TimeElapsedColumn(),
            console=Terminal(stderr=True), disable=quiet,
        )  # fmt: skip
        self._out = Terminal(quiet=quiet, highlight=False, soft_wrap=True)
        self._current: TaskID | None = None

    def progress(self, label: str) -> steps.Progress:
        """A bar for one slide; the local name is shown to the person who typed it and goes nowhere else."""
        task = self._current = self._bars.add_task(label, total=1.0, stage="")

        def update(stage: steps.Stage, done: float) -> None:
            begins, share = _SHARES[stage]
            self._bars.update(task, completed=begins + share * done, stage=stage.value)

        return update

    def finished(self, result: Result) -> None:
        """Print how one slide ended."""
        if self._current is not None:
            self._bars.update(self._current, completed=1.0, stage="", visible=False)
        self._out.print(_line(result))

    def __enter__(self) -> Console:
        """Start showing."""
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop showing."""
        self._bars.stop()


def _line(result: Result) -> str:
    match result.outcome:
        case Cleaned() as clean:
            return (
                f"[green]clean[/]        {result.number}: {clean.clean}  ({clean.removed} removed, {clean.replaced} "
                f"replaced, {clean.kept} kept; {clean.route})"
            )
        case Quarantined() as held:
            why = "".join(f"\n             {reason}" for reason in held.reasons[:8])
            return f"[yellow]quarantined[/]  {result.number}: {held.code}{_escaped(why)}"
        case Rejected() as refused:
            where = f"{refused.where}: " if refused.where else ""
            return f"[red]refused[/]      {result.number}: {refused.code}: {_escaped(where + refused.detail)}"
        case _:
            assert_never(result.outcome)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def outcome_dict(result: Result) -> dict[str, Any]:
    """One slide's result as JSON-ready values."""
    base: dict[str, Any] = {"number": result.number, "state": type(result.outcome).__name__.lower()}
    match result.outcome:
        case Cleaned() as clean:
            files = {"clean": clean.clean, "certificate": clean.certificate, "page": clean.certificate_html}
            counts = {"removed": clean.removed, "replaced": clean.replaced, "kept": clean.kept}
            pyramid = {"pyramid": str(result.pyramid)} if result.pyramid else {}
            return base | {n: str(p) for n, p in files.items()} | pyramid | {"sha256": clean.sha256, **counts}
        case Quarantined() as held:
            return base | {"code": held.code, "reasons": list(held.reasons)}
        case Rejected() as refused:
            return base | {"code": refused.code, "where": refused.where, "detail": refused.detail}
        case _:
            assert_never(result.outcome)


def print_inspection(
    slide: AnySlide, words: tuple[Element, ...], reader: str, declined: dict[str, str], *, as_json: bool
) -> None:
    """Facts and elements of a slide and of what it arrived in, without values."""
    facts, inventory = slide.facts, (*slide.inventory(), *words)
    summary: dict[str, Any] = {
        "reader": reader,
        "route": slide.route.value,
        "vendor": facts.vendor,
        "container": facts.container,
        "levels": [str(level.size) for level in facts.levels],
        "mpp": [facts.mpp.x, facts.mpp.y] if facts.mpp else None,
        "magnification": facts.magnification,
        "planes": asdict(facts.planes) if facts.planes else None,
    }
    elements = [
        (e.path, e.kind.value, "" if e.understood else "not understood", len(e.untrusted_value)) for e in inventory
    ]
    if as_json:
        names = ("path", "kind", "note", "bytes")
        found = [dict(zip(names, element, strict=True)) for element in elements]
        _print_json({**summary, "declined": declined, "elements": found})
        return
    if facts.planes:
        summary["planes"] = f"{facts.planes.z} focal, {facts.planes.channels} channels, {facts.planes.t} moments"
    _print_pairs({**summary, **{f"not {name}": why for name, why in declined.items()}})
    _print_table(("element", "kind", "note", "bytes"), [tuple(map(str, element)) for element in elements])


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Every element with its action, rule and reason."""
    rows = [(d.element.path, _action(d), d.because, d.reason) for d in plan]
    if as_json:
        names = ("path", "action", "rule", "reason")
        _print_json({"policy": plan.policy.name, "elements": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    _print_table(("element", "action", "rule", "reason"), rows)
    _print_pairs(plan.counts())


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


def print_policy(policy: Policy) -> None:
    """A policy rule by rule."""
    _print_pairs(
        {"policy": policy.name, "version": policy.version, "says": policy.description, "sha256": policy.sha256}
    )
    rows = [(r.id, type(r.action).__name__.lower(), r.form.value, r.reason, "\n".join(r.paths)) for r in policy.rules]
    _print_table(("rule", "action", "form", "reason", "places"), rows)
    Terminal().print("Everything no rule names is removed and listed in the certificate.")
    beyond = list(out_of_reach(policy))
    if beyond:
        _print_table(
            ("rule", "a place that no clean slide can keep: the slide is held back, or the place goes"), beyond
        )


def print_report(report: dict[str, Any], *, as_json: bool) -> None:
    """The verifier's answer."""
    if as_json:
        _print_json(report)
        return
    rows = [
        (c["name"], "passed" if c["passed"] else "FAILED", ", ".join(f"{n}={v}" for n, v in c["measured"].items()))
        for c in report["checks"]
    ]
    _print_table(("check", "result", "measured"), rows)
    if report["findings"]:
        _print_table(("check", "where", "what"), [(f["check"], f["where"], f["detail"]) for f in report["findings"]])
    _print_pairs({"result": "passed" if report["passed"] else "FAILED", "sha256": report["clean"]["sha256"]})


def print_walls(walls: tuple[Wall, ...], *, as_json: bool) -> None:
    """The layers around the child that parses."""
    if as_json:
        _print_json({"layers": [asdict(wall) for wall in walls], "strict_would_work": enough(walls)})
        return
    missing = {True: "MISSING, required when strict", False: "missing"}
    rows = [(wall.name, "holds" if wall.holds else missing[wall.required], wall.keeps) for wall in walls]
    _print_table(("layer", "here", "keeps from"), rows)


def _print_json(content: dict[str, Any]) -> None:
    Terminal(soft_wrap=True, highlight=False, markup=False).print(json.dumps(content, indent=2, ensure_ascii=False))


def _print_pairs(pairs: dict[str, Any]) -> None:
    terminal = Terminal(soft_wrap=True, highlight=False, markup=False)
    for name, value in pairs.items():
        terminal.print(f"{name:>14}  {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*head, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*map(_escaped, row))
    Terminal(highlight=False).print(table)
