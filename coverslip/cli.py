"""The command line: one person, one machine, no server needed. Each command unpacks, calls one function, prints.

Commands import what they need themselves: one that leaves the work to a child has no use for what the child loads, and
a second spent on imports is longer than many a slide takes.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coverslip.errors import CoverslipError
from coverslip.forms import Form

if TYPE_CHECKING:
    from coverslip.batch import Result, Work

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="De-identify whole-slide images, prove it, and make them ready to serve. Exit codes: 0 all well, "
    "1 something was refused, quarantined or found, 2 the command itself was wrong, 130 interrupted.",
)
policy_app = typer.Typer(no_args_is_help=True, help="Look at policies.")
app.add_typer(policy_app, name="policy")

CAN_CONFINE = sys.platform == "linux"

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


@app.command()
def inspect(
    slide: SlidePath,
    as_json: AsJson = False,
    why: Annotated[bool, typer.Option("--why", help="Say why each reader before the chosen one declined.")] = False,
) -> None:
    """Show what a slide is and every place in it where identity can live, without the values."""
    from coverslip.formats import choose, open_slide
    from coverslip.intake import arrived
    from coverslip.printing import print_inspection

    with arrived(slide) as arrival:
        reader, declined = choose(arrival.path)
        chosen = reader.name if reader else "none"
        with closing(open_slide(arrival.path)) as opened:
            print_inspection(opened, arrival.words, chosen, declined if why else {}, as_json=as_json)


@app.command()
def plan(slide: SlidePath, policy: PolicyName = "strict", as_json: AsJson = False) -> None:
    """Show what would happen to every element; change nothing."""
    from coverslip import policy as policies
    from coverslip.formats import open_slide
    from coverslip.intake import arrived
    from coverslip.pipeline import plan_slide
    from coverslip.printing import print_plan

    with arrived(slide) as arrival, closing(open_slide(arrival.path)) as opened:
        print_plan(plan_slide(opened, policies.load(policy), arrival.words), as_json=as_json)


@app.command()
def deidentify(
    slides: SlidePaths,
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the results.")],
    policy: PolicyName = "strict",
    key_file: Annotated[Path | None, typer.Option(help="Collection key; made on first use.")] = None,
    pyramid: Annotated[bool, typer.Option(help="Build the deep-zoom pyramid too.")] = False,
    confine: Annotated[
        bool, typer.Option("--confine/--no-confine", help="Parse each slide in a confined child process (Linux).")
    ] = CAN_CONFINE,
    as_json: AsJson = False,
) -> None:
    """Write clean slides with their certificates; a slide that fails never stops the others."""
    with desk(confine) as work:
        results = _deidentified(slides, out, policy, key_file, pyramid, work, quiet=as_json)
    if as_json:
        from coverslip.printing import outcome_dict

        typer.echo(json.dumps([outcome_dict(result) for result in results], indent=2))
    raise typer.Exit(0 if all(result.well for result in results) else 1)


@app.command()
def verify(
    clean: CleanPath,
    source: Annotated[Path | None, typer.Option(exists=True, help="The slide it was made from.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a clean slide with the independent verifier; with the source, check that nothing of it is left."""
    from coverslip.intake import arrived
    from coverslip.printing import Console, print_report
    from coverslip.verify import as_dict, verify_alone

    with Console(quiet=as_json) as console:
        progress = console.progress(clean.name)
        with arrived(source) if source else nullcontext() as arrival:
            report = verify_alone(clean, arrival.path if arrival else None, progress)
    print_report(as_dict(report), as_json=as_json)
    raise typer.Exit(0 if report.passed else 1)


@app.command()
def pyramid(
    clean: CleanPath,
    complete: Annotated[bool, typer.Option(help="Store every tile; otherwise some are made on request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the deep-zoom pyramid of a clean slide, beside it."""
    from coverslip.pipeline import build_pyramid
    from coverslip.printing import Console

    target = clean.with_suffix(".pyramid")
    with Console(quiet=as_json) as console:
        build_pyramid(clean, target, complete=complete, progress=console.progress(clean.name))
    typer.echo(json.dumps({"pyramid": target.name, "bytes": target.stat().st_size}) if as_json else f"{target}")


@app.command()
def export(
    clean: CleanPath,
    to: Annotated[Form, typer.Option("--to", help="DeepZoom folder, SZI file, or folder for a web server.")],
    out: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the result.")] = Path(),
    openseadragon: Annotated[Path | None, typer.Option(help="The viewer library a static folder gets.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the tiles in a form other programs take; stored tiles are copied, never decoded."""
    from coverslip.exporting import export as export_slide
    from coverslip.printing import Console

    with Console(quiet=as_json or clean.with_suffix(".pyramid").exists()) as console:
        made = export_slide(clean, to, out, openseadragon=openseadragon, progress=console.progress(clean.name))
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
    from coverslip import policy as policies
    from coverslip.printing import print_policy

    print_policy(policies.load(file))


def desk(confine: bool) -> AbstractContextManager[Work]:
    """Where slides are worked on: in confined children, or here."""
    if confine:
        from coverslip.confined.desk import Desk

        return Desk()
    from coverslip.unconfined import here

    return nullcontext(here)


def _deidentified(
    slides: list[Path], out: Path, policy: str, key_file: Path | None, pyramid: bool, work: Work, *, quiet: bool
) -> tuple[Result, ...]:
    """Everything here is loaded while the process that children are forked from starts."""
    from coverslip import policy as policies
    from coverslip.batch import Batch, run_batch
    from coverslip.keys import load_key
    from coverslip.printing import Console

    policies.load(policy)  # what is wrong with it is said once, not for each slide
    with Console(quiet=quiet) as console:
        return run_batch(Batch(tuple(slides), out, policy, load_key(key_file), pyramid), console, work)


def main() -> None:
    """Run, and turn our errors into one line and an exit code."""
    try:
        app()
    except CoverslipError as error:
        typer.echo(f"coverslip: {error.code}: {error}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("coverslip: interrupted; nothing half written is left behind", err=True)
        raise SystemExit(130) from error
