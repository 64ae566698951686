"""Commands that are told to end, or killed, at any moment: nothing of an original stays, and the next start works."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from coverslip.geometry import Size
from samples import aperio

ENDS = ["certificate.html", "certificate.json", "scans.sha256", "svs"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
LONGEST = 1.8
"""Seconds; longer than the command takes here, so that some of the moments are after its end."""
MOMENTS = 4


def archived(folder, **how):
    """A slide in an archive: it has to be unpacked to be looked at."""
    made = aperio.write(folder / "slide.svs", Size(3000, 2000), **how).path
    with zipfile.ZipFile(folder / "slide.zip", "w") as archive:
        archive.write(made, "slide.svs")
    return folder / "slide.zip"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """One that names nobody: no step takes much longer than another, so that each is met by a moment."""
    return archived(tmp_path_factory.mktemp("packed"), identifiers=False, traps=())


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """One with a thousand names to search for: it takes longer than another command needs to start."""
    return archived(tmp_path_factory.mktemp("long"))


@pytest.fixture
def command(packed, tmp_path):
    """Starts the command, with a folder for results and one for what is temporary."""
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    arguments = ["-o", str(tmp_path / "out"), "--key-file", str(tmp_path / "key"), "--json"]

    def start(*more, slide=packed):
        program = [sys.executable, "-m", "coverslip", "deidentify", str(slide), *arguments, *more]
        return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def listens(process):
    """Wait until the command listens: before that Python itself is starting."""
    mask = 1 << signal.SIGTERM - 1
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16) & mask:
            return
        time.sleep(0.002)


def left(folder):
    """Endings of everything in a folder, hidden or not."""
    return sorted(path.name.partition(".")[2] for path in folder.iterdir()) if folder.exists() else []


def moments():
    """Somewhere within the command's life, differently each time; a failure names it."""
    dice = random.SystemRandom()
    return [round(dice.uniform(0, LONGEST), 3) for _ in range(MOMENTS)]


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("way", [[], ["--no-confine"]], ids=["confined", "unconfined"])
def test_told_to_end(command, tmp_path, number, way):
    """All or nothing of the slide is there, nothing else, and the exit code says what happened."""
    for moment in moments():
        process = command(*way)
        listens(process)
        time.sleep(moment)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        there = left(tmp_path / "out")
        assert left(tmp_path / "tmp") == [], moment
        if process.returncode == CODES[number]:
            assert there in ([], ENDS), moment
            assert b"Traceback" not in said
            assert b"interrupted" in said
        else:
            assert process.returncode in (0, 1), (moment, said)
            assert there == ENDS, moment
        for path in (tmp_path / "out").glob("slide-*"):
            path.unlink()


def test_killed(command, tmp_path):
    """Whatever is left then is gone after the next start, and that one's result is whole."""
    for moment in moments():
        process = command()
        listens(process)
        time.sleep(moment)
        process.kill()
        process.communicate()
        whole = left(tmp_path / "out") == ENDS
        answer, _ = command().communicate(timeout=60)
        (result,) = json.loads(answer)
        assert left(tmp_path / "out") == ENDS, moment
        assert left(tmp_path / "tmp") == [], moment
        assert result.get("code") == ("output-exists" if whole else None), moment
        for path in (tmp_path / "out").glob("slide-*"):
            path.unlink()


def test_a_neighbour_that_lives_is_let_be(command, long, tmp_path):
    """Two commands into one folder: the second's start does not take the first one's room for a dead one's."""
    first = command(slide=long)
    while not list((tmp_path / "out").glob(".coverslip-*")) and first.poll() is None:
        time.sleep(0.01)
    second = command(slide=long)
    ends = [json.loads(process.communicate(timeout=60)[0])[0].get("code") for process in (first, second)]
    assert sorted(ends, key=str) == [None, "output-exists"]
    assert left(tmp_path / "out") == ENDS
