"""What is unpacked opens, under names that say nothing, and is gone afterwards."""

import shutil
import zipfile
from collections import namedtuple
from contextlib import ExitStack, closing

import pytest

from coverslip import packed
from coverslip.errors import CoverslipError, DamagedSlide, InputError, LimitExceeded, StorageFull
from coverslip.formats import open_slide
from coverslip.geometry import Point, Region
from coverslip.intake import arrived, settings_file
from tests.intake.conftest import PERSON

KINDS = ("mirax", "hamamatsu", "dicom", "file")


def names(folder):
    """Every name below a folder."""
    return "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_and_reads_the_same(slides, pack, tmp_path, kind):
    """Levels and pixels are those of the slide as it lies on disk."""
    room = tmp_path / "room"
    with ExitStack() as stack:
        places = [stack.enter_context(arrived(slides[kind])), stack.enter_context(arrived(pack(slides[kind]), room))]
        before, after = (stack.enter_context(closing(open_slide(arrival.path))) for arrival in places)
        assert (after.facts.vendor, after.facts.size) == (before.facts.vendor, before.facts.size)
        assert after.facts.mpp == before.facts.mpp
        if kind != "file":
            whole = Region(Point(0, 0), before.facts.size)
            assert (after.read(0, whole) == before.read(0, whole)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_names_say_nothing(slides, pack, tmp_path, kind):
    """Neither in the scratch folder nor in a file that names others; all of them are on the list to look for."""
    archive = pack(slides[kind], within=f"{PERSON}/")
    with arrived(archive, tmp_path / "room") as arrival:
        assert "Kowalczyk" not in names(tmp_path / "room")
        if kind == "hamamatsu":
            assert b"Kowalczyk" not in arrival.path.read_bytes()
        assert PERSON in {element.untrusted_text for element in arrival.words}
        assert "Kowalczyk" not in repr(arrival)
    assert names(tmp_path / "room") == ""


def test_mirax_settings_stay_as_they_are(slides, pack):
    """Where no name has to change no byte does, so the slide keeps its pseudonym however it arrives."""
    with arrived(pack(slides["mirax"])) as arrival:
        unpacked = arrival.path.with_suffix("")
        assert (unpacked / "Slidedat.ini").read_bytes() == (slides["mirax"] / PERSON / "Slidedat.ini").read_bytes()


def test_mirax_files_of_other_names(slides, pack, tmp_path):
    """A data file named after a patient is renamed, and the settings follow."""
    folder = tmp_path / "in"
    shutil.copytree(slides["mirax"] / PERSON, folder)
    (folder / "Data0000.dat").rename(folder / "Anna.dat")
    settings = (folder / "Slidedat.ini").read_bytes().replace(b"FILE_0 = Data0000.dat", b"FILE_0 = anna.DAT")
    (folder / "Slidedat.ini").write_bytes(settings)
    with arrived(pack(folder, within="x/"), tmp_path / "room") as arrival, closing(open_slide(arrival.path)) as slide:
        assert slide.facts.vendor == "mirax"
        assert "nna" not in names(tmp_path / "room")
        assert b"nna.DAT" not in (arrival.path.with_suffix("") / "Slidedat.ini").read_bytes()


def test_other_lines_keep_their_bytes():
    """Only a whole value that is a file's name changes, in whatever letters it is written."""
    text = (
        b"\xef\xbb\xbf[A]\r\nFile = Ann\xc3\xa9.jpg \r\nName=Ann\xc3\xa9.jpg2\rlone line\nOld=ANN\xc9.JPG\n" + b" " * 10
    )
    expected = text.replace(b"Ann\xc3\xa9.jpg ", b"part1.jpg ").replace(b"ANN\xc9.JPG", b"part1.jpg")
    assert settings_file.renamed(text, {"ann\u00e9.jpg": "part1.jpg"}) == expected


@pytest.mark.parametrize(
    ("broken", "error"), [("checksum", DamagedSlide), ("bomb", LimitExceeded), ("room", StorageFull)]
)
def test_nothing_is_left_of_what_fails(slides, pack, tmp_path, monkeypatch, broken, error):
    """Refused before or in the middle: the scratch folder is gone."""
    archive = pack(slides["mirax"], method=zipfile.ZIP_STORED)
    if broken == "checksum":
        data = bytearray(archive.read_bytes())
        at = data.index(b"Data0000.dat") + 5000
        data[at] ^= 1
        archive.write_bytes(data)
    if broken == "bomb":
        monkeypatch.setattr(packed, "FLOOR", -8 * archive.stat().st_size)
    if broken == "room":
        usage = namedtuple("Usage", "free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(error), arrived(archive, tmp_path / "room"):
        pass
    assert names(tmp_path / "room") == ""


def test_nothing_is_left_of_what_succeeds_or_is_told_to_stop(slides, pack, tmp_path):
    """An exception in the body is the caller's, and does not keep the files."""
    with pytest.raises(KeyboardInterrupt), arrived(pack(slides["mirax"]), tmp_path / "room"):
        raise KeyboardInterrupt
    assert names(tmp_path / "room") == ""


def test_any_error_of_ours_passes(tmp_path):
    """What is not there cannot be looked at, in our words."""
    with pytest.raises(CoverslipError), arrived(tmp_path / "absent"):
        pass


def test_random_damage_ends_in_a_refusal_or_a_slide(slides, pack, tmp_path):
    """No change of an archive's bytes leads to anything else, and nothing stays behind."""
    import random

    sound = pack(slides["dicom"]).read_bytes()
    path = tmp_path / "changed.zip"
    for seed in range(300):
        dice = random.Random(seed)
        changed = bytearray(sound)
        for _ in range(dice.randint(1, 5)):
            changed[dice.randrange(4, len(changed))] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        path.write_bytes(changed)
        try:
            with arrived(path, tmp_path / "room"):
                pass
        except InputError:
            pass
    assert names(tmp_path / "room") == ""
