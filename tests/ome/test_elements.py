"""Every attribute and text of a block is an element, and no word of somebody's is part of a path."""

import re

import pytest

from coverslip.elements import ElementKind
from coverslip.formats import ome_tiff
from coverslip.geometry import Size
from coverslip.policy import Keep, load
from samples import ome
from samples.ome_words import PLACE

VARIANTS = {
    "stack": {"z": 2, "channels": 2, "style": "each"},
    "rgb": {"rgb": True, "codec": "jpeg", "beside": ("label",)},
}


@pytest.fixture(scope="module", params=VARIANTS)
def planted(request, tmp_path_factory):
    """A slide with something in every place, and its inventory."""
    path = tmp_path_factory.mktemp("elements") / "x.ome.tiff"
    made = ome.write(path, Size(300, 200), tile=64, downsamples=(1, 2), **VARIANTS[request.param])
    slide = ome_tiff.open(path)
    yield made, slide.inventory()
    slide.close()


def test_everything_planted_is_seen(planted):
    """Each planted value of the block stands in the value of some element."""
    made, inventory = planted
    values = [element.untrusted_value for element in inventory]
    told = [one for one in made.identifiers if one.place.startswith(PLACE) and one.needle]
    # a name can hold no space: of those only the first part was planted
    unseen = [one.place for one in told if not any(one.needle.split(b" ")[0] in value for value in values)]
    assert len(told) > 45
    assert unseen == []


def test_no_path_holds_a_word_of_the_file(planted):
    """Names that are not the schema's appear as values; paths are made of the schema's names and numbers."""
    _, inventory = planted
    paths = [element.path for element in inventory if element.path.startswith("ome/")]
    assert all(re.fullmatch(r"[A-Za-z0-9/\[\]#]+", path) for path in paths)
    assert not [path for path in paths if "ZQ" in path]
    assert {"ome/element", "ome/element/attribute"} <= {re.sub(r"#\d+", "", path) for path in paths}


def test_paths_are_unique_and_equal_values_are_counted(planted):
    """A stack says the same of every plane: one element with a count."""
    _, inventory = planted
    paths = [element.path for element in inventory]
    assert len(set(paths)) == len(paths)
    told = [element for element in inventory if element.path == "ome/Image/Pixels/TiffData/IFD"]
    assert [element.count for element in told] == [len(inventory.under("ome/Image/Pixels/Plane/DeltaT"))]


def test_what_stays_is_numbers_and_closed_words(planted):
    """No kept element of the block holds words, but a channel's name from the vocabulary."""
    _, inventory = planted
    kept = [
        d.element for d in load("strict").plan(inventory) if isinstance(d.action, Keep) and d.element.path[:4] == "ome/"
    ]
    assert kept
    for element in kept:
        named = re.search(r"Channel\[\d\]/(Name|Fluor)", element.path)
        assert named or element.kind in (ElementKind.STRUCTURE, ElementKind.NUMBER), element.path
        assert b"ZQ-" not in element.untrusted_value
    assert not [e.path for e in kept if "UUID" in e.path or e.path.endswith("/ID")]


def test_a_second_image_is_nobody_s_to_keep(planted):
    """Sizes and channels of a picture of the glass go with it."""
    _, inventory = planted
    others = [d for d in load("strict").plan(inventory) if d.element.path.startswith("ome/Image[")]
    assert all(not isinstance(decision.action, Keep) for decision in others)
