"""Words around a slide (names in an archive or folder, comments) are looked for in the clean one like any value."""

import shutil

import pytest

from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.write import converted_page
from samples import archives, mirax
from tests.leaks.conftest import KEY, forms, hits

PERSON = "Kowalczyk Anna"
WORDS = {"archive": "S26-48213", "folder": "Kowalczyk Anna", "comment": "sent by Dr. Wojciechowski"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A planted slide, and an archive of it with more names around it."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "in").mkdir()
    planted = mirax.write(folder / "in", columns=2, rows=2, levels=2)
    planted.sidecar.unlink()
    path = folder / f"{WORDS['archive']}.zip"
    path.write_bytes(archives.pack(folder / "in", within=f"{WORDS['folder']}/", comment=WORDS["comment"]))
    return planted, path


@pytest.fixture
def unpacked(packed, tmp_path):
    """The same as a folder."""
    folder = tmp_path / WORDS["archive"] / WORDS["folder"]
    shutil.copytree(packed[0].path.parent, folder)
    return folder.parent


def run(source, out):
    """The whole way of one slide."""
    return deidentify(source, out, policy=load("strict"), key=KEY)


def test_nothing_of_an_archive_survives(packed, tmp_path):
    """No planted value, and no word that stood around the slide, in any file or file name."""
    planted, path = packed
    assert isinstance(run(path, tmp_path), Cleaned)
    for file in tmp_path.iterdir():
        data = file.read_bytes() + file.name.encode()
        assert hits(planted, data) == []
        assert [word for word in WORDS.values() if any(form in data for form in forms(word.encode()))] == []


def test_however_it_arrives_it_is_the_same(packed, unpacked, tmp_path):
    """One slide, one pseudonym, the same bytes: as its file, in a folder, in an archive."""
    planted, path = packed
    outcomes = [run(source, tmp_path / str(n)) for n, source in enumerate((planted.path, unpacked, path))]
    assert len({(outcome.clean.name, outcome.sha256) for outcome in outcomes}) == 1


@pytest.mark.parametrize("word", list(WORDS))
def test_a_writer_that_repeats_a_name_is_caught(packed, tmp_path, monkeypatch, word):
    """Each of them stands on the list of what must be gone."""
    monkeypatch.setattr(converted_page, "description", lambda facts: f"coverslip 1|Title = {WORDS[word]}")
    outcome = run(packed[1], tmp_path)
    assert isinstance(outcome, Quarantined)
    place = "archive/comment" if word == "comment" else "archive/name"
    assert any(place in reason for reason in outcome.reasons)
    assert not any(value in reason for reason in outcome.reasons for value in WORDS.values())


def test_a_folder_names_are_looked_for_too(unpacked, tmp_path, monkeypatch):
    """What somebody called a folder is no better known than what stands in an archive."""
    monkeypatch.setattr(converted_page, "description", lambda facts: f"coverslip 1|Title = {WORDS['folder']}")
    outcome = run(unpacked, tmp_path / "out")
    assert isinstance(outcome, Quarantined)
    assert any("folder/name" in reason for reason in outcome.reasons)
