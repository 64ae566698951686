"""What is said to be planted is really there, and every place of the PHI map has something planted."""

import collections
import hashlib

import openslide
import pytest
import tifffile
from PIL import Image

from coverslip.geometry import Size
from samples import aperio
from samples.icc import profile
from samples.identifiers import Encoding, Planter, load

MAP_TAGS = {
    *(269, 271, 272, 285, 305, 306, 315, 316, 333, 337, 700, 32781, 32932, *range(33445, 33453), 33432, 33550, 33922),
    *(34735, 34736, 34737, 33723, 34377, 34665, 34853, 37500, 37724, 40965, 50740, 42112, 42113, 50838, 50839, 51123),
    *(55500, 65000),
}
"""Written down from the map, not taken from the generator; ImageDescription is looked at below."""
MAP_KEYS = {
    *("Filename", "Title", "Barcode", "Accession", "Patient", "ImageID", "DSR ID", "Slide", "Rack", "CustomField.1"),
    *("Webslide Files", "CompressedFile", "Date", "Time", "Time Zone", "User", "ScanScope ID", "Scanner ID"),
    *("HostComputer", "Copyright", "Parmset", "Session Mode"),
}
TILE_PLACES = {f"APP{n}" for n in range(16)} | {"COM", "after end", "gap"}


def content(planted):
    """All bytes of a slide: the file, and its folder when it has one."""
    folder = planted.path.with_suffix("")
    files = [planted.path, *(sorted(folder.iterdir()) if folder.is_dir() else ())]
    return b"".join(path.read_bytes() for path in files)


def check(planted):
    data = content(planted)
    missing = [one.place for one in planted.identifiers if one.needle is not None and one.needle not in data]
    assert missing == []
    values = collections.Counter(one.value for one in planted.identifiers if one.searchable)
    assert [value for value, times in values.items() if times > 1] == []


def test_every_value_stands_in_the_aperio_slide_once(made, aperio_name):
    """Each planted value is found in the bytes in its encoding, and no two places share one."""
    check(made("aperio", aperio_name))


def test_every_value_stands_in_the_generic_slide_once(made, generic_name):
    """As for Aperio."""
    check(made("generic", generic_name))


def test_every_value_stands_in_the_ome_slide_once(made, ome_name):
    """As for Aperio; a name that may hold no space was planted up to the first one."""
    planted = made("ome", ome_name)
    data = content(planted)
    needles = {one.place: one.needle for one in planted.identifiers if one.needle is not None}
    assert [place for place, needle in needles.items() if needle.split(b" ")[0] not in data] == []
    values = collections.Counter(one.value for one in planted.identifiers if one.searchable)
    assert [value for value, times in values.items() if times > 1] == []


def test_every_place_of_the_map_is_planted_in_ome_xml(made):
    """Written down from the map's section on OME-TIFF, and what the schema offers beside it."""
    places = {one.place.removeprefix("ifd[0]/ImageDescription/OME/") for one in made("ome", "each").identifiers}
    assert {
        *("UUID", "Creator", "Experimenter/FirstName", "Experimenter/LastName", "Experimenter/Email"),
        *("Experimenter/UserName", "Experimenter/Institution", "AcquisitionDate", "Image/Name", "Image/Description"),
        *("Detector/SerialNumber", "Microscope/SerialNumber", "Objective/SerialNumber", "Laser/SerialNumber"),
        *("OriginalMetadata/Series 0 Filename", "ROI/Text", "BinaryFile", "CommentAnnotation", "TagAnnotation"),
        *("comment", "instruction", "element name", "attribute name", "namespace", "CDATA", "Barcode", "Map key"),
        *("StageLabel/Name", "Project/Name", "Dataset/Name", "Group/Name", "RightsHolder", "Experiment/Description"),
    } <= places


def test_every_value_stands_in_the_mirax_slide_once(made):
    """As for Aperio, over the file and its folder."""
    planted = made("mirax", "")
    check(planted)
    assert content(planted).count(planted.identifiers[0].value.encode()) == 3


def test_every_tag_of_the_map_is_planted_in_every_ifd(made):
    """Every tag that can hold an identifier carries one in each of the six IFDs; the base level has a SubIFD too."""
    with tifffile.TiffFile(made("aperio", "jpeg").path) as tiff:
        for page in tiff.pages:
            assert set(page.tags.keys()) >= MAP_TAGS
        assert all(34675 in page.tags for page in tiff.pages if page.is_tiled)
        assert 330 in tiff.pages[0].tags


def test_every_tag_of_the_exif_and_gps_ifds_is_planted(made):
    """Dates, serial numbers, owner, comment and place."""
    places = {one.place for one in made("aperio", "jpeg").identifiers}
    exif = {36867, 36868, 36880, 36881, 36882, 37500, 37510, 37520, 37521, 37522, 42016, 42032, 42033, 42037}
    for ifd in range(6):
        assert {f"ifd[{ifd}]/EXIF/{code}" for code in exif} <= places
        assert {f"ifd[{ifd}]/GPS/{code}" for code in (2, 4, 27, 28, 29)} <= places


def test_every_key_of_the_map_is_planted_in_every_description(made):
    """Identity, date and staff keys in each level and in the thumbnail, not in the first IFD only."""
    places = {one.place for one in made("aperio", "jpeg").identifiers}
    keys = [*MAP_KEYS, "header", "Fixative Lot"]
    for ifd in range(4):
        assert {f"ifd[{ifd}]/ImageDescription/{key}" for key in keys} <= places


def test_every_marker_is_planted_in_tiles_of_every_level(made):
    """COM, all sixteen APPn, bytes behind EOI and bytes between tiles, also where a level has few tiles."""
    places = {one.place for one in made("aperio", "jpeg").identifiers}
    for ifd in (0, 2, 3):
        assert {f"ifd[{ifd}]/tiles/{name}" for name in TILE_PLACES - {"APP1"}} <= places
        assert f"ifd[{ifd}]/tiles/APP1/thumbnail/COM" in places
        assert f"ifd[{ifd}]/JPEGTables/COM" in places


def test_every_j2k_comment_is_planted(made):
    """In the main header and in the header of a tile-part."""
    places = {one.place for one in made("aperio", "j2k-rgb").identifiers}
    assert {"ifd[0]/tiles/COM", "ifd[0]/tiles/tile-part COM", "ifd[0]/tiles/after end"} <= places


def test_bytes_nobody_owns_are_planted(made):
    """Behind the header, before and behind IFDs, an IFD nothing points to, the end of the file, the file's name."""
    planted = made("aperio", "jpeg")
    places = {one.place for one in planted.identifiers}
    orphans = {"after header", "before the first IFD", *(f"behind ifd[{n}]" for n in range(6))}
    assert {f"file/orphan[{where}]" for where in orphans} <= places
    assert {"file/tail", "file/name", "file/orphan IFD/ImageDescription"} <= places
    assert planted.path.read_bytes().endswith(next(o.needle for o in planted.identifiers if o.place == "file/tail"))


def test_traps_stand_in_the_description(made):
    """A value of one character, words that name a role, two equal signs, an unknown key, Barcode last, day first."""
    with openslide.OpenSlide(made("aperio", "jpeg").path) as slide:
        words = slide.properties["openslide.comment"]
        assert "|Slide = 3|" in words
        assert "|MPP = 0.2533|" in words
        assert slide.properties["aperio.Title"].startswith("relabel of macro study ZQ-")
        assert slide.properties["aperio.CustomField.2"].count("=") == 2
        assert "|Fixative Lot = ZQ-" in words
        assert words.rsplit("|", 1)[1].startswith("Barcode = ")
        assert int(slide.properties["aperio.Date"].split("/")[0]) > 12
    with tifffile.TiffFile(made("aperio", "jpeg").path) as tiff:
        assert tiff.pages[4].description == ""


def test_without_traps_none_of_them_is_set(made):
    """Slide is an identifier then, the label has its words, and the date is written month first."""
    with tifffile.TiffFile(made("aperio", "no-traps").path) as tiff:
        assert "|Slide = ZQ-" in tiff.pages[0].description
        assert "|Title = ZQ-" in tiff.pages[0].description
        assert "\nlabel 387x463" in tiff.pages[4].description


def test_words_are_drawn_into_label_and_macro(tmp_path):
    """Another seed changes what is written on both pictures, and nothing else of them."""
    pictures = []
    for seed in (1, 2):
        planted = aperio.write(tmp_path / f"{seed}.svs", Size(300, 200), seed=seed)
        drawn = [
            one for one in planted.identifiers if one.encoding is Encoding.PIXELS and one.place.endswith("]/image")
        ]
        assert {one.place for one in drawn} == {"ifd[4]/image", "ifd[5]/image", "ifd[0]/SubIFDs[0]/image"}
        with openslide.OpenSlide(planted.path) as slide:
            # Above the bars, which depend on the words too.
            boxes = {"label": (0, 0, 387, 340), "macro": (0, 0, 420, 300)}
            pictures.append([slide.associated_images[name].crop(box).tobytes() for name, box in boxes.items()])
    assert all(one != other for one, other in zip(*pictures, strict=True))


def test_bare_slides_hold_no_canary(made):
    """With identifiers off nothing is planted, except that a folder still names the file."""
    planted = made("aperio", "bare")
    assert [one.place for one in planted.identifiers] == ["file/name"]
    assert b"ZQ-" not in content(planted)


def test_an_omitted_place_stays_empty(tmp_path):
    """`omit` leaves out what its words occur in, and nothing else."""
    every = aperio.write(tmp_path / "a.svs", Size(300, 200))
    fewer = aperio.write(tmp_path / "b.svs", Size(300, 200), omit=("SubIFDs", "tiles/APP"))
    gone = {one.place for one in every.identifiers} - {one.place for one in fewer.identifiers}
    assert gone
    assert all("SubIFDs" in place or "tiles/APP" in place for place in gone)


def test_the_list_beside_the_slide_says_the_same(made):
    """`load` gives back what `write` returned."""
    planted = made("aperio", "jpeg")
    assert load(planted.path) == planted


def test_the_profile_is_valid_and_full_of_identifiers():
    """Little CMS opens the profile, reads the planted description, and converts with it."""
    from io import BytesIO

    from PIL import ImageCms

    planter = Planter(3)
    opened = ImageCms.ImageCmsProfile(BytesIO(profile(planter, "icc")))
    assert ImageCms.getProfileDescription(opened).startswith("ZQ-DES")
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    seen = ImageCms.applyTransform(Image.new("RGB", (1, 1), (200, 100, 50)), transform).getpixel((0, 0))
    assert max(abs(a - b) for a, b in zip(seen, (200, 100, 50), strict=True)) < 8
    names = {one.place for one in planter.found}
    assert {"icc/desc", "icc/cprt", "icc/dmnd", "icc/dmdd", "icc/date", "icc/creator", "icc/profile ID"} <= names


@pytest.mark.parametrize("write", ["first", "second"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, write):
    """Whatever the threads did, the file is the same; the digest is pinned per run by writing it twice."""
    digests = {
        hashlib.sha256(aperio.write(tmp_path / f"{write}-{n}.svs", Size(2000, 700), seed=5).path.read_bytes()).digest()
        for n in range(2)
    }
    assert len(digests) == 1
    other = aperio.write(tmp_path / "other.svs", Size(2000, 700), seed=6)
    assert hashlib.sha256(other.path.read_bytes()).digest() not in digests
