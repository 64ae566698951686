"""What the inventory of a converted slide sees."""

import random
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from coverslip.elements import ElementKind, ImageRole, Inventory
from coverslip.errors import InputError, LimitExceeded
from coverslip.formats import dicom_series, ini
from coverslip.formats.companions import companions
from coverslip.formats.converted import READER
from coverslip.formats.readable import plain_key, readable
from samples import mirax
from samples.identifiers import Encoding, Planted

Real = Callable[[str], Path]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A MIRAX slide with an identifier in every place."""
    return mirax.write(tmp_path_factory.mktemp("mirax"), columns=2, rows=2, levels=2)


@pytest.fixture(scope="module")
def mirax_inventory(planted: Planted) -> Inventory:
    """Its inventory."""
    with READER.open(planted.path) as slide:
        return slide.inventory()


def _inventory(path: Path) -> Inventory:
    with READER.open(path) as slide:
        return slide.inventory()


def _values(inventory: Inventory) -> bytes:
    return b"\n".join(element.untrusted_value for element in inventory)


def test_every_planted_identifier_of_mirax_is_seen(planted: Planted, mirax_inventory: Inventory) -> None:
    """INI values, index and data headers, records only the index knows, JPEG comments, the file's name."""
    values = _values(mirax_inventory)
    written = [one for one in planted.identifiers if one.encoding is not Encoding.PIXELS]
    assert len(written) > 12
    assert [one.place for one in written if one.value.encode() not in values] == []


def test_paths_never_hold_an_identifier(planted: Planted, mirax_inventory: Inventory) -> None:
    """Paths go into reports: they are made of our words and of vocabulary, not of values."""
    paths = "\n".join(element.path for element in mirax_inventory)
    assert [one.place for one in planted.identifiers if one.value in paths] == []


def test_pictures_of_mirax_have_roles(mirax_inventory: Inventory) -> None:
    """OpenSlide's macro is the overview."""
    roles = {element.path: element.role for element in mirax_inventory if element.kind is ElementKind.IMAGE}
    assert roles["associated/label"] is ImageRole.LABEL
    assert roles["associated/macro"] is ImageRole.OVERVIEW
    assert roles["associated/thumbnail"] is ImageRole.THUMBNAIL
    assert roles["level[0]/image[base]"] is ImageRole.BASE
    assert roles["level[1]/image[level]"] is ImageRole.LEVEL


def test_numeric_facts_are_elements_of_their_own(mirax_inventory: Inventory) -> None:
    """What the clean slide carries is listed apart from where it stood."""
    facts = {element.path: element.untrusted_text for element in mirax_inventory.under("facts/")}
    assert facts == {
        "facts/mpp-x": "0.325",
        "facts/mpp-y": "0.325",
        "facts/magnification": "20.0",
        "facts/background": "FFFFFF",
    }


def test_ndpi_fields_of_every_directory_are_seen(real_slide: Real) -> None:
    """Serial numbers and the property map stand in each IFD, OpenSlide tells of the first only."""
    inventory = _inventory(real_slide("hamamatsu/test3-DAPI.ndpi"))
    for number in range(6):
        serial = inventory.at(f"ifd[{number}]/65442")
        assert serial is not None
        assert serial.untrusted_text == "950291"
        assert not serial.understood
    assert inventory.at("ifd[0]/DateTime") is not None
    assert inventory.at("ifd[0]/65421").untrusted_text == "40"  # type: ignore[union-attr]
    assert inventory.at("ifd[0]/65423").untrusted_text == "-96063"  # type: ignore[union-attr]
    assert inventory.at("properties/hamamatsu.NDP.S/N") is not None


def test_a_key_that_holds_words_is_not_repeated_in_a_path(real_slide: Real) -> None:
    """This NDPI has a property whose key is a whole line of text."""
    inventory = _inventory(real_slide("hamamatsu/test3-DAPI.ndpi"))
    odd = [element for element in inventory if b";NDP Shading Data" in element.untrusted_value]
    assert all("Shading" not in element.path for element in odd)
    assert any(element.path.startswith("properties/key[") and not element.understood for element in odd)


def test_dicom_attributes_of_the_whole_series_are_seen(real_slide: Real, tmp_path: Path) -> None:
    """Values that only one instance has, nested ones, private ones and the preamble are elements."""
    for number, file in enumerate(sorted(real_slide("dicom/cmu-1-small-region").iterdir())):
        dataset = pydicom.dcmread(file)
        if number == 2:
            _plant(dataset)
        dataset.save_as(tmp_path / f"{number}.dcm")
    inventory = _inventory(tmp_path)
    values = {element.path: element.untrusted_text for element in inventory.under("dicom/") if element.untrusted_value}
    assert values["dicom/PatientName"] == "DOE^JANE"
    assert values["dicom/SpecimenDescriptionSequence/SpecimenShortDescription"] == "skin of DOE"
    assert values["dicom/(0009,1001)"] == "ACC-123456"
    assert values["dicom/preamble"].startswith("SECRET-PREAMBLE")
    assert values["dicom/SpecimenDescriptionSequence/SpecimenUID"].startswith("1.2.826")
    assert inventory.at("icc/desc") is not None
    assert inventory.at("icc/transform").understood  # type: ignore[union-attr]
    assert {"associated/label", "associated/macro", "associated/thumbnail"} <= {e.path for e in inventory}
    assert len([e for e in inventory if e.path.startswith("companion[")]) == 3


def _plant(dataset: pydicom.Dataset) -> None:
    dataset.PatientName = "DOE^JANE"
    dataset.SpecimenDescriptionSequence[0].SpecimenShortDescription = "skin of DOE"
    dataset.private_block(0x0009, "ACME 1", create=True).add_new(1, "LO", "ACC-123456")
    dataset.preamble = b"SECRET-PREAMBLE".ljust(128, b"\0")


def test_hostile_dicom_gives_typed_errors(real_slide: Real, tmp_path: Path) -> None:
    """pydicom parses lazily and raises many kinds of errors; none gets out, and none of its words."""
    source = min(real_slide("dicom/cmu-1-small-region").iterdir(), key=lambda file: file.stat().st_size)
    rng = random.Random(7)
    refused: list[InputError] = []
    for _ in range(200):
        raw = bytearray(source.read_bytes()[: rng.choice((700, 2500))])
        for _ in range(rng.randrange(1, 8)):
            raw[rng.randrange(132, len(raw))] = rng.randrange(256)
        (tmp_path / "hostile.dcm").write_bytes(raw)
        try:
            dicom_series.attributes((tmp_path / "hostile.dcm",))
        except InputError as error:
            refused.append(error)
    assert len(refused) > 5
    assert all(error.__cause__ is None and error.__suppress_context__ for error in refused)


def test_attributes_repeated_in_a_series_are_counted(real_slide: Real) -> None:
    """The study's UID stands in six instances and is one element."""
    folder = real_slide("dicom/pyramid-6-levels")
    found = dicom_series.attributes(tuple(sorted(folder.iterdir())))
    study = [element for element in found if element.path == "dicom/StudyInstanceUID"]
    assert [element.count for element in study] == [6]


def test_other_series_in_the_folder_do_not_belong(real_slide: Real, tmp_path: Path) -> None:
    """OpenSlide gathers by series; so does the inventory."""
    for number, name in enumerate(("dicom/pyramid-6-levels", "dicom/cmu-1-small-region")):
        file = min(real_slide(name).iterdir(), key=lambda found: found.stat().st_size)
        (tmp_path / f"{number}.dcm").write_bytes(file.read_bytes())
    assert dicom_series.instances_of(tmp_path / "1.dcm") == (tmp_path / "1.dcm",)


def test_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the heads of a million files to find a slide."""
    monkeypatch.setattr(dicom_series, "MAX_FILES", 9)
    for number in range(10):
        (tmp_path / str(number)).touch()
    with pytest.raises(LimitExceeded):
        dicom_series.representative(tmp_path)


def test_strings_are_read_before_jpegs_only() -> None:
    """Huffman tables are full of printable runs; words in front of them, also in UTF-16, are what counts."""
    jpeg = b"\xff\xd8\xff\xdb" + b"()*456789:CDEFGHIJSTUVWXYZ"
    raw = b"\0\1Patient DOE\0\0" + "Anna Müller-Lüdenscheidt"[:5].encode("utf-16-le") * 2 + jpeg
    found = [element.untrusted_text for element in readable(raw, "file")]
    assert found == ["Patient DOE", "Anna Anna"]


@pytest.mark.parametrize(
    ("key", "plain"), [("mirax.GENERAL.SLIDE_ID", True), ("S12-34567", False), ("", False), (";x", False)]
)
def test_plain_keys(key: str, plain: bool) -> None:
    """A key with a long number or odd characters may be an identifier."""
    assert plain_key(key) is plain


def test_ini_keeps_sections_and_odd_lines(tmp_path: Path) -> None:
    """Values with a second `=`, lines without any, a byte order mark."""
    file = tmp_path / "Slidedat.ini"
    file.write_bytes(b"\xef\xbb\xbf[GENERAL]\r\nSLIDE_NAME = a=b\r\n\r\njust words\r\n[X]\r\nk=")
    found = [(pair.section, pair.key, pair.untrusted_value) for pair in ini.pairs(file)]
    assert found == [("GENERAL", "SLIDE_NAME", "a=b"), ("GENERAL", "", "just words"), ("X", "k", "")]


def test_companions_of_vms_are_the_files_it_names(tmp_path: Path) -> None:
    """Other files in the folder are other slides'; links lead nowhere."""
    (tmp_path / "slide.vms").write_text("[Virtual Microscope Specimen]\nImageFile(0,0)=a.jpg\nMacroImage=link.jpg\n")
    for name in ("a.jpg", "other.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "other.jpg")
    assert companions(tmp_path / "slide.vms", "hamamatsu") == (tmp_path / "a.jpg",)
