"""The block written anew: what stays is typed, what is ours only counts, and readers see what they saw before."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
import xmlschema

from coverslip.errors import UnknownStructure
from coverslip.formats import ome_tiff
from coverslip.geometry import Mpp, Size
from coverslip.pipeline import Cleaned, deidentify, plan_slide, write_clean
from coverslip.policy import load
from coverslip.slide import Planes
from samples import ome

VARIANTS = {
    "stack": {"z": 3, "channels": 2},
    "time": {"t": 3, "z": 2, "dimensions": "XYTZC", "style": "each"},
    "rgb": {"rgb": True, "codec": "jpeg", "z": 2},
    "grey jpeg": {"bits": 8, "codec": "jpeg", "channels": 4, "order": ">"},
    "big-endian": {"order": ">", "codec": "none", "channels": 2, "dimensions": "XYZCT"},
    "bigtiff": {"bigtiff": True, "codec": "lzw", "z": 2},
    "beside": {"rgb": True, "codec": "deflate", "beside": ("label", "macro"), "beside_first": True},
    "one level": {"z": 2, "downsamples": (1,)},
}
NS = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Source and clean slide of a variant, identifiers planted."""
    done = {}

    def once(name):
        if name not in done:
            folder = tmp_path_factory.mktemp("rebuild")
            planted = ome.write(
                folder / "source.ome.tiff", Size(300, 200), tile=64, **{"downsamples": (1, 2), **VARIANTS[name]}
            )
            outcome = deidentify(planted.path, folder / "out", policy=load("strict"), key=b"k" * 32)
            assert isinstance(outcome, Cleaned), outcome
            done[name] = planted.path, outcome
        return done[name]

    return once


def own_series(tiff):
    """The slide's own image: the largest."""
    return max(tiff.series, key=lambda series: series.nbytes)


@pytest.mark.parametrize("name", VARIANTS)
def test_tifffile_reads_the_same_series(pair, name):
    """Axes, shapes and pixels of every level, before and after."""
    source, outcome = pair(name)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(outcome.clean) as after:
        assert after.is_ome
        assert len(after.series) == 1
        old, new = own_series(before), after.series[0]
        assert (new.axes, new.shape, new.dtype) == (old.axes, old.shape, old.dtype)
        assert [level.shape for level in new.levels] == [level.shape for level in old.levels]
        for one, other in zip(old.levels, new.levels, strict=True):
            assert np.array_equal(one.asarray(), other.asarray())


@pytest.mark.parametrize("name", VARIANTS)
def test_every_plane_has_its_levels_below_it(pair, name):
    """OME-TIFF 6.0: SubIFDs of every full-size page, marked as reduced, none of them in the chain."""
    _, outcome = pair(name)
    with tifffile.TiffFile(outcome.clean) as tiff:
        below = {len(page.aspage().subifds or ()) for page in tiff.pages}
        assert below == {len(tiff.series[0].levels) - 1}
        for page in tiff.pages:
            sizes = [below.imagewidth for below in page.aspage().pages or ()]
            assert sizes == sorted(sizes, reverse=True)
            assert all(below.aspage().subfiletype == 1 for below in page.aspage().pages or ())


@pytest.mark.parametrize("name", VARIANTS)
def test_the_block_holds_only_what_it_may(pair, name):
    """No word of the source, no UUID, no file name, no date, no annotation; identifiers that only count."""
    _, outcome = pair(name)
    with tifffile.TiffFile(outcome.clean) as tiff:
        raw = tiff.pages[0].tags[270].value
        assert [270 in page.aspage().tags for page in tiff.pages] == [True] + [False] * (len(tiff.pages) - 1)
    assert raw.isascii()
    assert not re.search("UUID|uuid|FileName|Annotation|Date|Description|Experimenter|ROI|Creator|ZQ-|<!--", raw)
    assert set(re.findall(r' ID="([^"]*)"', raw)) <= {"Image:0", "Pixels:0", "Instrument:0", "Objective:0:0"} | {
        f"Channel:0:{number}" for number in range(9)
    }


def test_numbers_stay_what_they_were(pair):
    """Sizes with units, wavelengths, colours, significant bits, magnification; a name only from the vocabulary."""
    _, outcome = pair("stack")
    with tifffile.TiffFile(outcome.clean) as tiff:
        root = ET.fromstring(tiff.pages[0].tags[270].value)
    pixels = root.find(f"{NS}Image/{NS}Pixels")
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit")) == ("0.5", None)
    assert (pixels.get("PhysicalSizeZ"), pixels.get("PhysicalSizeZUnit")) == ("1500.0", "nm")
    assert pixels.get("SignificantBits") == "12"
    first, second = pixels.findall(f"{NS}Channel")
    assert (first.get("Name"), first.get("Color"), first.get("EmissionWavelength")) == ("DAPI", "65535", "461.0")
    assert (second.get("Name"), second.get("Fluor"), second.get("Color")) == (None, None, "16711935")
    assert root.find(f"{NS}Instrument/{NS}Objective").get("NominalMagnification") == "20.0"
    assert outcome.facts.planes == Planes(3, 2, 1, 1.5)
    assert outcome.facts.mpp == Mpp(0.5, 0.5)
    assert outcome.facts.magnification == 20


def test_greek_and_latin_micro_and_angstrom(block, pages):
    """Units outside ASCII are character references; a Greek mu is the micro sign."""
    from coverslip.elements import Inventory
    from coverslip.ome.layout import layout
    from coverslip.ome.rebuild import OmeDescription

    sizes = 'SizeX="150" SizeY="100" SizeZ="2" SizeC="2" SizeT="1" PhysicalSizeX="4000" PhysicalSizeXUnit="Å"'
    sizes += ' PhysicalSizeY="0.4" PhysicalSizeYUnit="μm" TimeIncrement="3" TimeIncrementUnit="μs"'
    document = block(pixels=sizes)
    found = OmeDescription(document, layout(document, pages))
    plan = load("strict").plan(Inventory(found.elements("")))
    text = found.rebuild("", plan.keeps)
    assert b'PhysicalSizeX="4000.0" PhysicalSizeXUnit="&#197;" PhysicalSizeY="0.4" Time' in text
    assert b'TimeIncrement="3.0" TimeIncrementUnit="&#181;s"' in text
    assert found.layout.image.length("X") == pytest.approx(0.4)


def test_a_number_never_goes_without_its_unit(block, pages):
    """A policy that keeps the number and not the unit would turn nanometres into micrometres."""
    from coverslip.ome.layout import layout
    from coverslip.ome.rebuild import OmeDescription

    sizes = 'SizeX="150" SizeY="100" SizeZ="2" SizeC="2" SizeT="1" PhysicalSizeX="400" PhysicalSizeXUnit="nm"'
    document = block(pixels=sizes)
    found = OmeDescription(document, layout(document, pages))
    assert b"PhysicalSizeX" not in found.rebuild("", lambda path: not path.endswith("Unit"))
    assert b'PhysicalSizeX="400.0" PhysicalSizeXUnit="nm"' in found.rebuild("", lambda path: True)


def test_a_policy_that_keeps_no_sizes(opened, tmp_path):
    """One plane is still a pyramid, without a word; several are nothing anybody could read."""
    own = tmp_path / "own.toml"
    tags = load("strict").rules[0].paths
    own.write_text(
        'name="own"\nversion=1\ndescription=""\n'
        f'[[rule]]\nid="tags"\nreason=""\naction="keep"\npaths={[*tags, "ifd[*]/image[*]"]!r}\n'.replace("'", '"')
    )
    policy = load(str(own))
    single = opened(rgb=True, codec="deflate")
    write_clean(single, plan_slide(single, policy), tmp_path / "one.tiff")
    with tifffile.TiffFile(tmp_path / "one.tiff") as tiff:
        assert tiff.pages[0].description == ""
    several = opened(z=2)
    with pytest.raises(UnknownStructure):
        write_clean(several, plan_slide(several, policy), tmp_path / "two.tiff")


def test_a_policy_that_keeps_some_planes_is_refused(opened, tmp_path):
    """Half a stack is not what anybody asked for."""
    own = tmp_path / "own.toml"
    own.write_text(
        'name="own"\nversion=1\ndescription=""\nextends="strict"\n'
        '[[rule]]\nid="less"\nreason=""\naction="remove"\npaths=["ifd[1]/image[base]"]\n'
    )
    slide = opened(z=2)
    with pytest.raises(UnknownStructure):
        write_clean(slide, plan_slide(slide, load(str(own))), tmp_path / "x.tiff")


def test_the_clean_slide_comes_back_the_same(pair, tmp_path):
    """A clean slide goes the way again and loses nothing: its block is the one there is."""
    _, outcome = pair("time")
    again = deidentify(outcome.clean, tmp_path, policy=load("strict"), key=b"k" * 32)
    assert isinstance(again, Cleaned)
    assert again.sha256 == outcome.sha256
    assert outcome.clean.name.endswith(".ome.tiff")
    ome_tiff.open(outcome.clean).close()


@pytest.fixture(scope="module")
def schema():
    """The OME data model's own schema, as another package brings it."""
    return xmlschema.XMLSchema(Path(ome_types.__file__).parent / "ome-2016-06.xsd", allow="local")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_block_is_valid(pair, schema, name):
    """Elements in their order, required attributes, value spaces: by the schema, and by a model made of it."""
    _, outcome = pair(name)
    with tifffile.TiffFile(outcome.clean) as tiff:
        text = tiff.pages[0].tags[270].value
    schema.validate(text)
    pixels = ome_types.from_xml(text).images[0].pixels
    assert (pixels.size_x, pixels.size_y, len(pixels.tiff_data_blocks)) == (300, 200, 1)
