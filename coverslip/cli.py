"""The command line: one person, one machine, no server needed. Each command unpacks, calls one function, prints.

Commands import what they need themselves: one that leaves the work to a child has no use for what the child loads, and
a second spent on imports is longer than many a slide takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.errors import CoverslipError, SettingsInvalid
from coverslip.forms import Form

if TYPE_CHECKING:
    from coverslip.batch import Work
    from coverslip.looking import Does
    from coverslip.policy import Policy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="De-identify whole-slide images, prove it, and make them ready to serve. Exit codes: 0 all well, "
    "1 something was refused, quarantined or found, 2 the command itself was wrong, 130, 143 or 129 told to end.",
)
policy_app = typer.Typer(no_args_is_help=True, help="Look at policies.")
app.add_typer(policy_app, name="policy")

CAN_CONFINE = sys.platform == "linux"
USAGE = 2
"""The exit code of a command that was wrong itself."""

SlidePath = Annotated[
    Path, typer.Argument(exists=True, help="A slide: a file, or a folder or ZIP archive with one slide in it.")
]
SlidePaths = Annotated[
    list[Path],
    typer.Argument(help="Slides, as many as you like: files, or folders or ZIP archives with one slide each."),
]
CleanPath = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A slide Coverslip has written.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
PolicyName = Annotated[str, typer.Option("--policy", "-p", help="A built-in policy (strict, research) or a TOML file.")]

Confine = Annotated[
    bool, typer.Option("--confine/--no-confine", help="Parse each slide in a confined child process (Linux).")
]


@app.command()
def inspect(
    slide: SlidePath,
    as_json: AsJson = False,
    why: Annotated[bool, typer.Option("--why", help="Say why each reader before the chosen one declined.")] = False,
    confine: Confine = CAN_CONFINE,
) -> None:
    """Show what a slide is and every place in it where identity can live, without the values."""
    with looker(confine) as does:
        from coverslip.looking import inspection
        from coverslip.printing import print_inspection

        print_inspection(inspection(does, slide), why=why, as_json=as_json)


@app.command()
def plan(
    slide: SlidePath, policy: PolicyName = "strict", as_json: AsJson = False, confine: Confine = CAN_CONFINE
) -> None:
    """Show what would happen to every element; change nothing."""
    with looker(confine) as does:
        from coverslip.looking import planned
        from coverslip.printing import print_plan

        read_policy(policy)
        print_plan(planned(does, slide, policy), as_json=as_json)


@app.command()
def deidentify(
    slides: SlidePaths,
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the results.")],
    policy: PolicyName = "strict",
    key_file: Annotated[Path | None, typer.Option(help="Collection key; made on first use.")] = None,
    pyramid: Annotated[bool, typer.Option(help="Build the deep-zoom pyramid too.")] = False,
    complete: Annotated[bool, typer.Option("--complete", help="One that stores every tile.")] = False,
    confine: Confine = CAN_CONFINE,
    as_json: AsJson = False,
) -> None:
    """Write clean slides with their certificates; a slide that fails never stops the others."""
    with desk(confine) as work:
        from coverslip.batch import Batch, run_batch, whole
        from coverslip.keys import load_key
        from coverslip.printing import Console

        read_policy(policy)  # what is wrong with it is said once, not for each slide
        with told_apart(f"key file {key_file}" if key_file else "key file"):
            key = load_key(key_file)
        batch = Batch(whole(slides), out, policy, key, pyramid or complete, complete)
        with Console(quiet=as_json) as console:
            results = run_batch(batch, console, work)
    if as_json:
        from coverslip.printing import outcome_dict

        typer.echo(json.dumps([outcome_dict(result) for result in results], indent=2))
    raise typer.Exit(0 if all(result.well for result in results) else 1)


@app.command()
def verify(
    clean: CleanPath,
    source: Annotated[Path | None, typer.Option(exists=True, help="The slide it was made from.")] = None,
    as_json: AsJson = False,
    confine: Confine = CAN_CONFINE,
) -> None:
    """Check a clean slide with the independent verifier; with the source, check that nothing of it is left."""
    with looker(confine) as does:
        from coverslip.looking import verdict
        from coverslip.printing import Console, print_report

        with Console(quiet=as_json) as console:
            found = verdict(does, clean, source, console.progress(clean.name))
        print_report(found, as_json=as_json)
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def pyramid(
    clean: CleanPath,
    complete: Annotated[bool, typer.Option(help="Store every tile; otherwise some are made on request.")] = False,
    as_json: AsJson = False,
    confine: Confine = CAN_CONFINE,
) -> None:
    """Build the deep-zoom pyramid of a clean slide, beside it."""
    with looker(confine) as does:
        from coverslip.looking import tiled
        from coverslip.printing import Console

        with Console(quiet=as_json) as console:
            target = tiled(does, clean, complete=complete, progress=console.progress(clean.name))
    typer.echo(json.dumps({"pyramid": target.name, "bytes": target.stat().st_size}) if as_json else f"{target}")


@app.command()
def export(
    clean: CleanPath,
    to: Annotated[Form, typer.Option("--to", help="DeepZoom folder, SZI file, or folder for a web server.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the result.")] = Path(),
    openseadragon: Annotated[Path | None, typer.Option(help="The viewer library a static folder gets.")] = None,
    as_json: AsJson = False,
    confine: Confine = CAN_CONFINE,
) -> None:
    """Write the tiles in a form other programs take; stored tiles are copied, never decoded."""
    with looker(confine) as does:
        from coverslip.looking import exported
        from coverslip.names import index_beside
        from coverslip.printing import Console

        with Console(quiet=as_json or index_beside(clean).exists()) as console:
            progress = console.progress(clean.name)
            made = exported(does, clean, to, out, openseadragon=openseadragon, progress=progress)
    typer.echo(json.dumps({"export": str(made), "form": to.value}) if as_json else f"{made}")


@app.command()
def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 unless every required wall holds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which walls hold the child that parses slides on this machine."""
    from coverslip.confined.doctor import enough, examine
    from coverslip.printing import print_walls

    walls = examine()
    print_walls(walls, as_json=as_json)
    raise typer.Exit(1 if strict and not enough(walls) else 0)


@policy_app.command("check")
def policy_check(file: Annotated[str, typer.Argument(help="A TOML file, or strict or research.")]) -> None:
    """Read a policy and explain it rule by rule."""
    from coverslip.printing import print_policy

    print_policy(read_policy(file))


def desk(confine: bool) -> AbstractContextManager[Work]:
    """Where slides are worked on: in confined children, or here."""
    if confine:
        from coverslip.confined.desk import Desk

        return Desk()
    from coverslip.unconfined import here

    return nullcontext(here)


@contextmanager
def looker(confine: bool) -> Iterator[Does]:
    """Who looks at a slide for a command: a confined child, or we."""
    if confine:
        from coverslip.confined.desk import Desk
        from coverslip.confined.early import LOOKS

        with Desk(LOOKS) as found:
            yield found.does
    else:
        from coverslip.unconfined import does

        yield does


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """What is wrong with an argument is told from what is wrong with a slide: one line, and exit code 2."""
    try:
        yield
    except CoverslipError as error:
        typer.echo(f"coverslip: {what}: {error}", err=True)
        raise typer.Exit(USAGE) from error


def read_policy(name: str) -> Policy:
    """A policy somebody named."""
    from coverslip.policy import load

    with told_apart(f"policy {name}"):
        return load(name)


def run() -> None:
    """Run, and turn our errors into one line and an exit code."""
    if CAN_CONFINE:
        from coverslip.confined import libc

        libc.keep_to_itself()  # the key is in our memory
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # names of files are bytes, whatever they are in
    try:
        app()
    except CoverslipError as error:
        typer.echo(f"coverslip: {error.code}: {error}", err=True)
        raise SystemExit(USAGE if isinstance(error, SettingsInvalid) else 1) from error
