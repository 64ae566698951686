"""The command line takes folders and archives wherever it takes a slide, and repeats no name from them."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from coverslip.cli import app
from tests.intake.conftest import PERSON

ARRIVALS = (("mirax", "archive"), ("hamamatsu", "archive"), ("dicom", "archive"), ("dicom", "folder"))


def run(*arguments):
    """One command; its exit code and everything it printed."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture(params=ARRIVALS, ids="-".join)
def arrival(request, slides, pack):
    """What is handed in, and what it is called in places."""
    kind, form = request.param
    return pack(slides[kind], within=f"{PERSON}/") if form == "archive" else slides[kind], form


def test_deidentify_and_verify(arrival, tmp_path):
    """A clean slide, which the verifier on its own compares with what lies in the archive or folder."""
    source, key = arrival[0], tmp_path / "key"
    code, printed = run("deidentify", source, "-o", tmp_path / "out", "--key-file", key, "--json")
    assert code == 0, printed
    clean = next((tmp_path / "out").glob("slide-*.tiff"))
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert "Kowalczyk" not in printed
    code, printed = run("verify", clean, "--source", source, "--json")
    assert code == 0, printed


def test_inspect_and_plan(arrival):
    """The words around the slide are elements, and go; no value of them is shown."""
    source, form = arrival
    code, printed = run("inspect", source, "--json")
    elements = {element["path"] for element in json.loads(printed)["elements"]}
    assert (code, f"{form}/name[0]" in elements) == (0, True)
    code, planned = run("plan", source, "--json")
    assert code == 0
    assert f"{form}/name[0]" in planned
    assert "Kowalczyk" not in printed + planned


def test_what_is_no_slide_is_refused_and_the_rest_goes_on(slides, pack, tmp_path):
    """The reason says what was expected."""
    bad, good = pack(None, (f"{PERSON}.txt", b"words")), pack(slides["mirax"])
    code, printed = run("deidentify", bad, good, "-o", tmp_path / "out", "--key-file", tmp_path / "key", "--json")
    first, second = json.loads(printed)
    assert code == 1
    assert (first["code"], second["state"]) == ("not-one-slide", "cleaned"), printed
    assert "Kowalczyk" not in printed


def test_a_series_as_archives_of_hospitals_write_it(slides, tmp_path):
    """Files without an ending, an index and words beside them: still one slide, which the verifier opens too."""
    folder = tmp_path / "in" / "SERIES"
    shutil.copytree(slides["dicom"], folder)
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"IM{number:04}")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (folder / "README.TXT").write_text("words")
    code, printed = run("deidentify", tmp_path / "in", "-o", tmp_path / "out", "--key-file", tmp_path / "key", "--json")
    assert code == 0, printed
