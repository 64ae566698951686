"""Commands that look at a slide: a child parses it, and what the child answers is input like any other."""

import json
import os
import resource
import shutil
import subprocess
import sys

import pytest

from coverslip import answers
from coverslip.answers import Inspection, Planned
from coverslip.confined.desk import Desk
from coverslip.errors import ChildCrashed, InputError, OutputExists
from coverslip.forms import Form
from coverslip.geometry import Size
from coverslip.looking import exported, inspection, planned, tiled, verdict
from coverslip.unconfined import does as here
from samples import aperio, traps

PARSERS = ("openslide", "pydicom", "imagecodecs", "coverslip.formats", "coverslip.verify.run")
SLOW = ("pydantic", "pydantic_settings", "coverslip.settings")
"""What no command needs where the environment has none of our settings."""


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A slide under a name that is no UTF-8."""
    path = tmp_path_factory.mktemp("in") / os.fsdecode(b"caf\xe9 Doe.svs")
    return aperio.write(path, Size(1500, 1000), identifiers=False, traps=()).path


@pytest.fixture(scope="module")
def desk():
    """Children that do the commands' work."""
    with Desk("coverslip.confined.looks") as found:
        yield found


@pytest.fixture(scope="module")
def made(slide, tmp_path_factory):
    """What the command makes of it."""
    folder = tmp_path_factory.mktemp("made")
    command("deidentify", slide, "-o", folder / "out", "--key-file", folder / "key")
    return folder / "out"


@pytest.fixture
def clean(made, tmp_path):
    """A clean slide, made by the command, in a folder of the test's own."""
    return next(shutil.copytree(made, tmp_path / "out").glob("slide-*.svs"))


PROGRAM = f"""
import os, sys
from coverslip.cli import app
try:
    app()
finally:
    loaded = [name for name in {PARSERS + SLOW} if name in sys.modules]
    os.write(2, ("loaded: " + ",".join(loaded)).encode())
"""


def command(*arguments, code=0):
    """What a command printed; the process that holds the terminal loaded nothing that parses slides or takes long."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERSLIP_")}
    program = [sys.executable, "-c", PROGRAM, *map(os.fspath, arguments)]
    done = subprocess.run(program, env=bare, capture_output=True, check=False)
    assert done.returncode == code, done
    assert done.stderr.endswith(b"loaded: "), done.stderr
    return done.stdout


def test_the_command_itself_parses_nothing(slide, clean, tmp_path):
    """Whatever it is told to do with a slide; a name that is no UTF-8 is a name like others."""
    assert json.loads(command("inspect", slide, "--json"))["vendor"] == "aperio"
    assert json.loads(command("plan", slide, "--json"))["policy"] == "strict"
    assert json.loads(command("verify", clean, "--source", slide, "--json"))["passed"]
    assert json.loads(command("pyramid", clean, "--json"))["pyramid"] == clean.with_suffix(".pyramid").name
    for form in ("dzi", "szi"):
        command("export", clean, "--to", form, "-o", tmp_path / "exports")
    assert sorted(path.suffix for path in (tmp_path / "exports").iterdir()) == ["", ".dzi", ".szi"]
    assert [path for path in clean.parent.iterdir() if path.name.startswith(".")] == []


def test_a_child_says_what_the_library_says(slide, clean, desk, tmp_path):
    """With and without walls the same answers, the same bytes; without, this process is held to nothing."""
    before = [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)]
    assert inspection(desk.does, slide) == inspection(here, slide)
    assert planned(desk.does, slide, "research") == planned(here, slide, "research")
    assert verdict(desk.does, clean, slide) == verdict(here, clean, slide)
    index = tiled(desk.does, clean)
    behind = index.read_bytes()
    index.unlink()
    assert tiled(here, clean).read_bytes() == behind
    made = [exported(does, clean, Form.SZI, tmp_path / name) for name, does in (("a", desk.does), ("b", here))]
    assert made[0].read_bytes() == made[1].read_bytes()
    assert [resource.getrlimit(kind) for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU)] == before


def test_a_source_that_ends_openslides_process_is_refused(clean, desk, tmp_path):
    """The verifier has OpenSlide read what it cannot walk itself: only what is within the limits gets there."""
    trap = next(trap for trap in traps.traps() if trap.name == "mirax-levels")
    (tmp_path / "trap").mkdir()
    source = next(trap.write(tmp_path / "trap").glob("*.mrxs"))
    with pytest.raises(InputError):
        verdict(desk.does, clean, source)


def test_nothing_is_overwritten(clean, desk, tmp_path):
    """The error names the file that is in the way."""
    tiled(desk.does, clean)
    with pytest.raises(OutputExists, match=clean.stem):
        tiled(desk.does, clean)
    exported(desk.does, clean, Form.DZI, tmp_path)
    with pytest.raises(OutputExists, match=f"{clean.stem}.dzi"):
        exported(desk.does, clean, Form.DZI, tmp_path)


def test_what_was_begun_is_not_followed_elsewhere(clean, desk, tmp_path):
    """A link where the next build would go on is not gone through."""
    (tmp_path / "elsewhere").mkdir()
    clean.with_name(f".{clean.stem}.pyramid.begun").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputExists):
        tiled(desk.does, clean)
    assert list((tmp_path / "elsewhere").iterdir()) == []


PLANNED = {"policy": "strict", "elements": [], "counts": {"kept": 1}}
BAD = {
    "nothing": None,
    "empty": b"",
    "no JSON": b"{",
    "bottomless": b"[" * 100_000,
    "another kind": json.dumps({"reader": "x"}).encode(),
    "a field too much": json.dumps({**PLANNED, "more": 1}).encode(),
    "a field too few": json.dumps({"policy": "strict"}).encode(),
    "another type": json.dumps({**PLANNED, "counts": {"kept": "many"}}).encode(),
    "no UTF-8": b'{"policy": "\xff"}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_answer(content, tmp_path):
    """A child that says anything else has crashed."""
    if content is not None:
        (tmp_path / answers.FILE).write_bytes(content)
    with pytest.raises(ChildCrashed):
        answers.read(tmp_path, Planned)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_file(make, tmp_path):
    """Nobody waits for a pipe, and no link is followed."""
    make(tmp_path / answers.FILE)
    with pytest.raises(ChildCrashed):
        answers.read(tmp_path, Planned)


def test_what_is_too_much(tmp_path):
    """A file of a size no answer has is not read."""
    with (tmp_path / answers.FILE).open("wb") as file:
        file.truncate(answers.MOST + 1)
    with pytest.raises(ChildCrashed):
        answers.read(tmp_path, Inspection)


def test_nothing_moves_the_cursor(tmp_path):
    """A name that a slide brought cannot redraw the terminal it is shown on."""
    said = {**PLANNED, "policy": "a\x1b[2Jb\x9b1m\r\n", "counts": {"\x07": 1}}
    (tmp_path / answers.FILE).write_text(json.dumps(said))
    read = answers.read(tmp_path, Planned)
    assert (read.policy, read.counts) == ("a?[2Jb?1m??", {"?": 1})
