"""Work that waits, runs or died, from the command line: what the API does, done by `command line`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from coverslip.archive.archive import Archive
from coverslip.archive.pauses import Scope
from coverslip.archive.strangers import strangers
from coverslip.archive.turns import Priority
from coverslip.errors import OriginalPurged, StateConflict
from coverslip.settings import Settings

ACTOR = "command line"
Act = Callable[[Archive, argparse.Namespace], Iterable[str]]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add one command per act."""
    _add(commands, "queue", _queue, "what waits, runs and is paused, and dead letters by reason")
    for name, act, text in (
        ("pause", _pause, "begin no more work: all, one owner's or one collection's; what runs goes on"),
        ("resume", _resume, "begin it again"),
    ):
        whose = _add(commands, name, act, text).add_mutually_exclusive_group()
        whose.add_argument("--owner", default="")
        whose.add_argument("--collection", default="")
    _add(commands, "cancel", _cancel, "stop a job").add_argument("job")
    prefer = _add(commands, "prefer", _prefer, "give a waiting job another priority")
    prefer.add_argument("job")
    prefer.add_argument("priority", choices=[priority.name.lower() for priority in reversed(Priority)])
    _add(commands, "dead", _dead, "dead letters, newest first").add_argument("--code", help="of one reason only")
    which = _add(commands, "replay", _replay, "do dead letters' work again, from the last finished stage")
    one = which.add_mutually_exclusive_group(required=True)
    one.add_argument("--job", help="one of them")
    one.add_argument("--code", help="all of one reason, at most 500 at once")
    unknown = _add(commands, "strangers", _strangers, "what lies in the archive and its catalogue never heard of")
    unknown.add_argument("--delete", type=int, metavar="COUNT", help="delete them for good, if there are so many")
    ended = _add(commands, "purge", _purge, "destroy the key of a slide's original and delete it; cannot be undone")
    ended.add_argument("slide")
    ended.add_argument("--reason", required=True, help="for the audit trail; without names or numbers of a person")


def run(settings: Settings, chosen: argparse.Namespace) -> int:
    """Do what the command says; raises our own errors."""
    archive = Archive.open(settings, with_vault=False)
    try:
        for line in chosen.act(archive, chosen):
            sys.stdout.write(f"{line}\n")
    finally:
        archive.close()
    return 0


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, act: Act, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(act=act)
    return parser


def _queue(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    stats = archive.catalog.queue_stats()
    for kind in stats.kinds:
        yield f"{kind.kind}: {kind.depth} waiting, oldest {kind.oldest_age:.0f} s, {kind.running} running"
    yield f"workers: {len(stats.workers)}, finished per minute: {stats.finished_per_minute:.1f}"
    for pause in archive.catalog.pauses():
        yield f"paused: {pause.scope} {pause.name}".rstrip()
    for code, count in archive.catalog.dead_reasons().items():
        yield f"dead: {code} {count}"


def _pause(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    scope, name = _whose(chosen)
    archive.catalog.pause(scope, name, ACTOR)
    yield f"paused: {scope} {name}".rstrip()


def _resume(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    scope, name = _whose(chosen)
    archive.catalog.resume(scope, name, ACTOR)
    yield f"resumed: {scope} {name}".rstrip()


def _cancel(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    archive.catalog.cancel(chosen.job, ACTOR)
    yield "cancelled"


def _prefer(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    archive.catalog.prefer(chosen.job, Priority[chosen.priority.upper()], ACTOR)
    yield chosen.priority


def _dead(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    for letter in archive.catalog.dead_letters(chosen.code):
        yield f"{letter.job} {letter.sid} {letter.kind} {letter.code} {letter.where or ''}".rstrip()


def _replay(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    if chosen.job:
        archive.catalog.replay(chosen.job, ACTOR)
        yield "replayed: 1"
    else:
        yield f"replayed: {archive.catalog.replay_all(chosen.code, ACTOR)}"


def _purge(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    uid = archive.catalog.slide(chosen.slide).uid
    with suppress(OriginalPurged):  # the same answer as the first time
        archive.purge(chosen.slide, ACTOR, chosen.reason)
    yield f"purged: {archive.catalog.purged(uid)}"


def _strangers(archive: Archive, chosen: argparse.Namespace) -> Iterator[str]:
    found = strangers(archive)
    yield from (f"{each.kind}: {each.name}" for each in found)
    yield f"strangers: {len(found)}"
    if chosen.delete is None:
        return
    if chosen.delete != len(found):
        raise StateConflict("Their number is another one: look at the list again.")
    for each in found:
        each.remove()
    yield f"deleted: {len(found)}"


def _whose(chosen: argparse.Namespace) -> tuple[Scope, str]:
    if chosen.owner:
        return Scope.OWNER, chosen.owner
    return (Scope.COLLECTION, chosen.collection) if chosen.collection else (Scope.EVERYTHING, "")
