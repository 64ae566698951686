"""What the command line prints: tables for people, JSON for programs, progress while it works. Never a value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, assert_never

import msgspec
from rich.console import Console as Terminal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from coverslip import progress as steps
from coverslip.answers import Inspection, Planned, Verdict
from coverslip.batch import Result
from coverslip.confined.doctor import Wall, enough
from coverslip.confined.layers import lacking
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.policy import Policy
from coverslip.policy.reach import out_of_reach

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
            pyramid = {"pyramid": str(clean.pyramid)} if clean.pyramid else {}
            return base | {n: str(p) for n, p in files.items()} | pyramid | {"sha256": clean.sha256, **counts}
        case Quarantined() as held:
            return base | {"code": held.code, "reasons": list(held.reasons)}
        case Rejected() as refused:
            return base | {"code": refused.code, "where": refused.where, "detail": refused.detail}
        case _:
            assert_never(result.outcome)


def print_inspection(found: Inspection, *, why: bool, as_json: bool) -> None:
    """Facts and elements of a slide and of what it arrived in, without values; `why` other readers declined."""
    told = msgspec.to_builtins(found)
    if as_json:
        _print_json(told if why else {**told, "declined": {}})
        return
    summary = {name: value for name, value in told.items() if name not in ("declined", "elements")}
    if found.planes:
        summary["planes"] = f"{found.planes.z} focal, {found.planes.channels} channels, {found.planes.t} moments"
    _print_pairs({**summary, **{f"not {name}": said for name, said in found.declined.items() if why}})
    rows = [(seen.path, seen.kind, seen.note, str(seen.bytes)) for seen in found.elements]
    _print_table(("element", "kind", "note", "bytes"), rows)


def print_plan(planned: Planned, *, as_json: bool) -> None:
    """Every element with its action, rule and reason."""
    if as_json:
        told = msgspec.to_builtins(planned)
        _print_json({name: told[name] for name in ("policy", "elements")})
        return
    rows = [(each.path, each.action, each.rule, each.reason) for each in planned.elements]
    _print_table(("element", "action", "rule", "reason"), rows)
    _print_pairs(dict(planned.counts))


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


def print_report(verdict: Verdict, *, as_json: bool) -> None:
    """The verifier's answer."""
    if as_json:
        _print_json(msgspec.to_builtins(verdict))
        return
    rows = [
        (check.name, _passed(check.passed), ", ".join(f"{name}={value}" for name, value in check.measured.items()))
        for check in verdict.checks
    ]
    _print_table(("check", "result", "measured"), rows)
    if verdict.findings:
        _print_table(("check", "where", "what"), [(each.check, each.where, each.detail) for each in verdict.findings])
    _print_pairs({"result": _passed(verdict.passed), "sha256": verdict.clean.sha256})


def _passed(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def print_walls(walls: tuple[Wall, ...], *, as_json: bool) -> None:
    """The layers around the child that parses, and what strict confinement would need here."""
    if as_json:
        _print_json({"layers": [asdict(wall) for wall in walls], "strict_would_work": enough(walls)})
        return
    rows = [(wall.name, "holds" if wall.holds else "missing", _wanted(wall), wall.keeps) for wall in walls]
    _print_table(("layer", "here", "when strict", "keeps from"), rows)
    if missing := lacking(wall.name for wall in walls if wall.holds):
        _print_pairs({"strict": f"would refuse to work here, for want of: {'; '.join(missing)}"})
    else:
        _print_pairs({"strict": "would work here (COVERSLIP_STRICT_CONFINEMENT=1)"})
    _print_pairs({f"{wall.name} needs": wall.needs for wall in walls if not wall.holds})


def _wanted(wall: Wall) -> str:
    if not wall.required:
        return ""
    return f"required, or {' or '.join(wall.instead)}" if wall.instead else "required"


def _print_json(content: dict[str, Any]) -> None:
    Terminal(soft_wrap=True, highlight=False, markup=False).print(json.dumps(content, indent=2, ensure_ascii=False))


def _print_pairs(pairs: dict[str, Any]) -> None:
    terminal = Terminal(soft_wrap=True, highlight=False, markup=False)
    for name, value in pairs.items():
        terminal.print(f"{name:>14}  {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*(Column(name, overflow="fold") for name in head), box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*map(_escaped, row))
    Terminal(highlight=False).print(table)
