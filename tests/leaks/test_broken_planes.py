"""A writer that mixes up planes, or says something else of them, is caught by the verifier."""

from dataclasses import replace

import pytest

from coverslip.geometry import Size
from coverslip.ome import rebuild
from coverslip.pipeline import Cleaned, Quarantined, deidentify
from coverslip.policy import load
from coverslip.tiff import tags as t
from coverslip.write import tiff
from samples import ome


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Three focal planes of two channels, each with a level below it."""
    folder = tmp_path_factory.mktemp("planes")
    made = ome.write(folder / "x.ome.tiff", Size(300, 200), z=3, channels=2, tile=64, downsamples=(1, 2), seed=3)
    return made.path


@pytest.fixture
def reasons(slide, tmp_path):
    """Run the pipeline as it is patched now; the slide must be held back, and these are the reasons."""

    def run():
        outcome = deidentify(slide, tmp_path / "out", policy=load("strict"), key=b"k" * 32)
        assert isinstance(outcome, Quarantined), outcome
        assert outcome.code == "verification-failed"
        return outcome.reasons

    return run


def test_the_honest_writer_passes(slide, tmp_path):
    """So the tests below fail for their defect only."""
    assert isinstance(deidentify(slide, tmp_path / "out", policy=load("strict"), key=b"k" * 32), Cleaned)


def data_swapped(monkeypatch, one, other):
    """Two of the written pages get each other's data."""
    honest = tiff._out_page
    made = {}

    def broken(slide, page, plan):
        found = honest(slide, page, plan)
        made[page.directory.path] = found
        return found

    monkeypatch.setattr(tiff, "_out_page", broken)
    layout = tiff._layout

    def swapped(pages, order, big):
        paths = [page.path for page in pages]
        i, k = paths.index(one), paths.index(other)
        names = ("lengths", "blocks", "order", "same_as")
        first, second = ({name: getattr(pages[at], name) for name in names} for at in (i, k))
        pages[i], pages[k] = replace(pages[i], **second), replace(pages[k], **first)
        return layout(pages, order, big)

    monkeypatch.setattr(tiff, "_layout", swapped)


@pytest.mark.parametrize(("one", "other"), [("ifd[0]", "ifd[1]"), ("ifd[2]", "ifd[4]"), ("ifd[0.0]", "ifd[5.0]")])
def test_swaps_two_planes(reasons, monkeypatch, one, other):
    """Two planes, or levels of two, change places: every byte is there, every size is right."""
    data_swapped(monkeypatch, one, other)
    assert any("the scan or its tables are not the source's" in reason for reason in reasons())


def test_writes_one_plane_twice(reasons, monkeypatch):
    """One plane stands in for another, which is lost."""
    honest = tiff._copied

    def broken(slide, page, plan):
        found = honest(slide, page, plan)
        if page.directory.path != "ifd[3]":
            return found
        other = honest(slide, next(p for p in slide.pages if p.directory.path == "ifd[1]"), plan)
        return replace(other, path=found.path, fields=found.fields)

    monkeypatch.setattr(tiff, "_copied", broken)
    assert any("the scan or its tables" in reason for reason in reasons())


def block_changed(monkeypatch, old, new):
    """The block says something else than it should."""
    honest = rebuild.OmeDescription.rebuild

    def broken(self, path, keeps):
        text = honest(self, path, keeps)
        assert old in text
        return text.replace(old, new)

    monkeypatch.setattr(rebuild.OmeDescription, "rebuild", broken)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"XYCZT", b"XYZCT", "the scan or its tables"),
        (b'SizeZ="3" SizeC="2"', b'SizeZ="2" SizeC="3"', "reads differently"),
        (b'SizeZ="3"', b'SizeZ="2"', "planes"),
        (b'PlaneCount="6"', b'PlaneCount="5"', "planes"),
        (b'PhysicalSizeX="0.5"', b'PhysicalSizeX="0.51"', "lengths"),
        (b'PhysicalSizeZ="1500.0"', b'PhysicalSizeZ="1501.0"', "lengths"),
        (b' PhysicalSizeZUnit="nm"', b"", "lengths"),
        (b'Color="65535"', b'Color="65534"', "colours"),
        (b'EmissionWavelength="461.0"', b'EmissionWavelength="462.0"', "emissions"),
        (b'SignificantBits="12"', b'SignificantBits="16"', "significant bits"),
        (b'NominalMagnification="20.0"', b'NominalMagnification="40.0"', "magnification"),
        (b'Name="DAPI"', b'Name="Doe, Jane"', "cannot have"),
        (b'<Image ID="Image:0">', b'<Image ID="Image:0" Name="DAPI">', "on no list"),
        (b"<Pixels ", b"<!-- x --><Pixels ", "comment"),
        (b"<Pixels ", b"<Pixels  ", "one way"),
        (b"</OME>", b"<StructuredAnnotations/></OME>", "does not belong"),
        (b'ID="Pixels:0"', b'ID="Pixels:S12-34567"', "cannot have"),
        (b"</Pixels>", b"x</Pixels>", "holds text"),
    ],
)
def test_says_something_else_of_the_planes(reasons, monkeypatch, old, new, expected):
    """Whatever the block says wrongly, or too much, is found; by the check that is meant for it."""
    block_changed(monkeypatch, old, new)
    assert any(expected in reason for reason in reasons()), reasons


def test_leaves_the_block_out(reasons, monkeypatch):
    """Six pages of one size and nobody says what they are."""
    monkeypatch.setattr(rebuild.OmeDescription, "rebuild", lambda self, path, keeps: b"")
    found = reasons()
    assert any("only one of the two slides" in reason for reason in found)
    assert any("not smaller than the one before" in reason for reason in found)


def test_keeps_the_block_as_it_was(reasons, monkeypatch):
    """Copied instead of composed: everything planted in it is found."""
    monkeypatch.setattr(
        rebuild.OmeDescription,
        "rebuild",
        lambda self, path, keeps: self.layout.planes[0].page.raw(t.IMAGE_DESCRIPTION).rstrip(b"\0"),
    )
    assert any("a removed value of ome/" in reason for reason in reasons())


def test_hangs_all_levels_below_the_first_plane(reasons, monkeypatch):
    """As the writer did when it knew one plane only."""
    honest = tiff._OutPage.above.fget
    monkeypatch.setattr(tiff._OutPage, "above", property(lambda self: honest(self) and "ifd[0]"))
    assert any("not as many pages" in reason or "planes" in reason for reason in reasons())


def test_leaves_the_levels_of_one_plane_out(reasons, monkeypatch):
    """The last plane is full size only."""
    honest = tiff._appears
    monkeypatch.setattr(tiff, "_appears", lambda page, plan: page.directory.path != "ifd[5.0]" and honest(page, plan))
    assert any("planes" in reason for reason in reasons())


def test_leaves_all_levels_out(reasons, monkeypatch):
    """OpenSlide sees no SubIFD, so it is the verifier's own reading that misses them."""
    honest = tiff._appears
    monkeypatch.setattr(tiff, "_appears", lambda page, plan: ".0]" not in page.directory.path and honest(page, plan))
    assert any("planes/levels" in reason for reason in reasons())
