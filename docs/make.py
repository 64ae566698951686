"""`python -m docs.make`: write the tables that say the same as the code into the documents, between their two comments.

A table begins after `<!-- made from the code: NAME -->` and ends before `<!-- end -->`. The rest of each document is
written by people; tests/docs/test_docs.py fails when running this would change anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import typer

import service.main  # noqa: F401  what it refuses at start is among our errors
from coverslip import cli, policy
from coverslip.archive.states import MOVES
from coverslip.errors import CoverslipError
from coverslip.formats import READERS
from coverslip.policy import load as policies
from coverslip.policy.model import Replace, Rule
from coverslip.settings import Settings
from service import auth, errors, reasons, safety, website
from service.routes import iiif, images, tiles

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- made from the code: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

LATE = (safety,)
"""Loaded by the program only when it starts, but its errors belong in the table."""

WHO: dict[object, str] = {
    auth.VisibleSlide: "whoever may see the slide",
    auth.Submitter: "submitter",
    auth.Curator: "curator",
    auth.Ops: "ops",
    auth.Staff: "curator or ops",
    auth.Admin: "admin",
    auth.SignedIn: "any key",
}
"""What a route asks of its caller, from the types of its parameters."""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [f"| {' | '.join(line)} |\n" for line in (names, *rows)]
    return "".join([lines[0], f"|{'---|' * len(names)}\n", *lines[1:]])


def settings() -> str:
    """Every setting with its variable and default."""
    rows = (
        (f"`COVERSLIP_{name.upper()}`", _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    return table(("variable", "default", "meaning"), rows)


def _default(value: Any) -> str:  # noqa: ANN401  defaults are of any type
    if isinstance(value, timedelta):
        return f"`{value.total_seconds():g}`"
    text = "" if value is None else str(value)
    return f"`{text}`" if text else ""


def error_codes() -> str:
    """Every error code with its sentence and status, as the tree has them; what stands below another follows it."""
    rows = ((f"`{kind.code}`", kind.summary, _status(kind)) for kind in ours())
    return table(("code", "what it means", "HTTP"), rows)


def ours(root: type[CoverslipError] = CoverslipError) -> Iterator[type[CoverslipError]]:
    """The classes of the library and of the front end, depth first; what a test or a tool adds is not ours."""
    if root.__module__.partition(".")[0] in ("coverslip", "service", "workers"):
        yield root
    for child in root.__subclasses__():
        yield from ours(child)


def _status(kind: type[CoverslipError]) -> str:
    known = errors.STATUS.get(kind.code)
    return str(known) if known else "none: the process ends"


def routing_codes() -> str:
    """Codes that no class carries: what the router, the schemas and a crash answer."""
    said = [(code, text, status) for status, (code, text) in errors.ROUTING_CODES.items()]
    said = [(code, text, status) for code, text, status in said if code not in {kind.code for kind in ours()}]
    rows = [*said, (errors.UNEXPECTED[0], errors.UNEXPECTED[2], errors.UNEXPECTED[1])]
    return table(("code", "what it means", "HTTP"), ((f"`{code}`", text, str(status)) for code, text, status in rows))


def routes() -> str:
    """Every address the front end answers, who may use it, and the first sentence of its function."""
    rows = sorted(_routes(), key=lambda row: (row[1], row[0]))
    return table(("method", "address", "who", "what"), rows)


def _routes() -> Iterator[tuple[str, str, str, str]]:
    for router in website.ROUTERS:
        for route in router.routes:
            endpoint: Callable[..., Any] = route.endpoint  # type: ignore[attr-defined]
            for method in sorted(route.methods):  # type: ignore[attr-defined]
                yield method, f"`{route.path}`", _who(endpoint), _sentence(endpoint)  # type: ignore[attr-defined]
    beside = "\n".join(module.__doc__ or "" for module in (tiles, images, iiif))
    for line in re.findall(r"^ {4}(/(?:slides|iiif)/.*)$", beside, re.MULTILINE):
        address, text = re.split(r" {2,}", line, maxsplit=1)
        yield "GET", f"`{address}`", "whoever may look at the slide", f"{text[0].upper()}{text[1:]}."


def _who(endpoint: Callable[..., Any]) -> str:
    asked = list(get_type_hints(endpoint, include_extras=True).values())
    return " with ".join(who for kind, who in WHO.items() if kind in asked) or "everybody"


def _sentence(thing: object) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]


def readers() -> str:
    """Every reader in the order they are asked."""
    rows = (
        (f"`{reader.name}`", reader.title, ", ".join(f"`{suffix}`" for suffix in reader.suffixes), reader.route.value)
        for reader in READERS
    )
    return table(("reader", "takes", "usual endings", "route"), rows)


def rules(name: str) -> str:
    """The rules of a built-in policy that are its own, in order."""
    base = {rule.id for rule in policies("strict").rules} if name != "strict" else set()
    rows = (_rule(rule) for rule in policies(name).rules if rule.id not in base)
    return table(("rule", "action", "form", "why", "places"), rows)


def _rule(rule: Rule) -> tuple[str, ...]:
    action = "regenerate" if isinstance(rule.action, Replace) else type(rule.action).__name__.lower()
    places = ", ".join(f"`{path}`" for path in rule.paths)
    return f"`{rule.id}`", f"`{action}`", f"`{rule.form.value}`", rule.reason, places


def states() -> str:
    """Where a slide may go from each state."""
    rows = (
        (f"`{state}`", ", ".join(f"`{to}`" for to in sorted(moves)) or "nothing else") for state, moves in MOVES.items()
    )
    return table(("state", "can become"), rows)


def commands() -> str:
    """Every command of the command line with its options."""
    group: Any = typer.main.get_command(cli.app)
    rows = ((f"`{name}`", text, "<br>".join(_options(command))) for name, command, text in _commands(group, ""))
    return table(("command", "what it does", "options"), rows)


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:  # noqa: ANN401  typer's own
    for name, command in getattr(group, "commands", {}).items():
        full = f"{prefix}{name}"
        if hasattr(command, "commands"):
            yield from _commands(command, f"{full} ")
        else:
            yield f"coverslip {full}", command, (command.help or "").split("\n")[0]


def _options(command: Any) -> Iterator[str]:  # noqa: ANN401  typer's own
    for option in command.params:
        if option.param_type_name == "option":
            yield f"`{' '.join([*option.opts, *option.secondary_opts])}` {getattr(option, 'help', '') or ''}"


def advice() -> str:
    """What to do about each code that can stand on a slide."""
    return table(("code", "what to do"), ((f"`{code}`", text) for code, text in reasons.TODO.items()))


TABLES: dict[str, Callable[[], str]] = {
    "settings": settings,
    "errors": error_codes,
    "routing-errors": routing_codes,
    "reasons": advice,
    "routes": routes,
    "readers": readers,
    "states": states,
    "commands": commands,
    **{f"policy-{name}": partial(rules, name) for name in policy.BUILTIN},
}


def made(text: str) -> str:
    """The document with every table as the code has it now."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def run(folder: Path = HERE) -> list[Path]:
    """Write every document anew that differs; the ones written."""
    changed = []
    for document in sorted(folder.rglob("*.md")):
        before = document.read_text()
        after = made(before)
        if after != before:
            document.write_text(after)
            changed.append(document)
    return changed


if __name__ == "__main__":
    for document in run():
        sys.stdout.write(f"written: {document.relative_to(HERE.parent)}\n")
