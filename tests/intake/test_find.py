"""Which of many files are the slide: one is found, none and several are refused, and leavings do not matter."""

import shutil

import pytest

from coverslip.errors import LimitExceeded, NotOneSlide, UnsupportedSlide
from coverslip.intake import arrived, members
from coverslip.intake.candidate import Kind
from coverslip.intake.find import find
from coverslip.intake.members import Folder, Packed
from tests.intake.conftest import PERSON

ROOM = 64 << 20
SIZES = {"mirax": 4, "hamamatsu": 4, "dicom": 2, "file": 1}
"""Files of each sample."""


def found(path):
    """The slide in an archive."""
    with Packed(path, max_bytes=ROOM) as archive:
        return find(archive)


@pytest.mark.parametrize("within", ["", "a/", f"a/{PERSON}/"])
@pytest.mark.parametrize("kind", SIZES)
def test_each_kind_is_found(slides, pack, kind, within):
    """At the top or in folders, with all the files it has."""
    slide = found(pack(slides[kind], within=within))
    assert (slide.kind, len(slide.members)) == (Kind(kind), SIZES[kind])


@pytest.mark.parametrize("kind", SIZES)
def test_leavings_do_not_matter(slides, pack, kind):
    """File managers' own files, words for people, an index of DICOM files, and files of the vendor beside."""
    more = [
        (f"{PERSON}/.DS_Store", b"\0\0\0\1Bud1"),
        (f"__MACOSX/{PERSON}/._{PERSON}.svs", b"II*\0"),
        (f"._{PERSON}.svs", b"II*\0"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("DICOMDIR", bytes(128) + b"DICM"),
        ("read me.txt", b"for Anna"),
        ("empty/", b""),
    ]
    assert len(found(pack(slides[kind], *more)).members) == SIZES[kind]


def test_more_below_a_mirax_folder(slides, pack):
    """What the scanner's program keeps below its folder is no second slide."""
    assert found(pack(slides["mirax"], (f"{PERSON}/more/copy.tif", b"II*\0"))).kind is Kind.MIRAX


def test_the_uncompressed_kind_of_hamamatsu(pack):
    """A .vmu file names its pictures too, whatever the case of their letters, behind a byte order mark or not."""
    text = b"\xef\xbb\xbf[Uncompressed Virtual Microscope Specimen]\r\nImageFile=X - 1.VMU.ngr\r\nMapFile=x_map.ngr\r\n"
    slide = found(pack(None, ("x.vmu", text), ("x - 1.vmu.ngr", b"GN"), ("x_map.ngr", b"GN"), ("y.ngr", b"GN")))
    assert (slide.kind, len(slide.members)) == (Kind.HAMAMATSU, 3)


def test_files_of_one_name_go_together(pack):
    """Trestle's macro stands beside the slide under its name; another slide would not."""
    slide = found(pack(None, ("a/x.tif", b"II*\0"), ("a/x.Full", b"\xff\xd8"), ("x.Full", b"\xff\xd8")))
    assert [member.parts for member in slide.members] == [("a", "x.tif"), ("a", "x.Full")]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ([], "archive: no slide"),
        ([("a.txt", b"words"), ("b.jpg", b"\xff\xd8\xff")], "archive: no slide"),
        ([("a.svs", b"II*\0"), ("b.svs", b"MM\0*")], "archive: several slides"),
        ([("a.svs", b"II*\0"), ("b.dcm", bytes(128) + b"DICM")], "archive: several slides"),
        ([("a/Slidedat.ini", b""), ("b/Slidedat.ini", b"")], "archive: several slides"),
        ([("a.vms", b"[Virtual Microscope Specimen]\n"), ("b.czi", b"ZISRAWFILE")], "archive: several slides"),
        ([("a.mrxs", b"\xff\xd8\xff"), ("b/Data0000.dat", b"")], "archive: MIRAX without its folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_not_one_slide(pack, more, where):
    """None, several or half a slide: the refusal says which, and what was expected."""
    with pytest.raises(NotOneSlide, match=r"exactly one slide: .*mrxs.*vms.*DICOM") as caught:
        found(pack(None, *more))
    assert caught.value.where == where


@pytest.mark.parametrize(
    "head", [b"PK\3\4", b"PK\5\6", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\1", b"\x1f\x8b\x08", b"\xfd7zXZ\0"]
)
def test_an_archive_within(slides, pack, head):
    """Whoever packs twice expects both to be looked into; we look into one."""
    with pytest.raises(UnsupportedSlide):
        found(pack(slides["file"], ("more.bin", head + bytes(200))))


@pytest.mark.parametrize("kind", SIZES)
def test_a_folder_is_looked_at_like_an_archive(slides, tmp_path, kind):
    """The path readers take, whatever the folder is called and whatever lies beside the slide."""
    folder = tmp_path / "all"
    shutil.copytree(slides[kind], folder / "slides")
    (folder / "notes.txt").write_text("words")
    with arrived(folder) as arrival:
        expected = folder / "slides"
        assert arrival.path in (expected, *expected.iterdir())
        assert {"notes", "all"} <= {element.untrusted_text for element in arrival.words}


def test_a_folder_that_is_no_slide(slides, tmp_path):
    """Half a MIRAX slide, a series that is spread out, links, and more files than anybody looks at."""
    half = tmp_path / "half"
    shutil.copytree(slides["mirax"] / PERSON, half)
    spread = tmp_path / "spread"
    for number, file in enumerate(sorted(slides["dicom"].iterdir())):
        (spread / str(number)).mkdir(parents=True)
        shutil.copy(file, spread / str(number))
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "x.svs").symlink_to(slides["file"] / f"{PERSON}.svs")
    for folder in (half, spread, linked):
        with pytest.raises(NotOneSlide), arrived(folder):
            pass


def test_a_folder_with_too_many_files(slides, monkeypatch):
    """The bound of archives holds for folders too."""
    monkeypatch.setattr(members, "MAX_ENTRIES", 2)
    with pytest.raises(LimitExceeded):
        _ = Folder(slides["mirax"]).members


def test_a_long_settings_file(pack):
    """It is read whole, so it is bounded first."""
    text = b"[Virtual Microscope Specimen]\n" + b"a = " * (1 << 18)
    with pytest.raises(LimitExceeded):
        found(pack(None, ("a.vms", text)))
