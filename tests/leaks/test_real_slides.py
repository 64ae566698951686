"""Real slides and a synthetic MIRAX through the whole pipeline: nothing of any element is left, the science is."""

import numpy as np
import pytest
import tifffile
from openslide import OpenSlide, OpenSlideUnsupportedFormatError

from coverslip.formats import open_slide
from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import Keep, load
from samples import mirax
from samples.identifiers import Planted
from tests.leaks.conftest import KEY, forms, hits

SLIDES = {
    "aperio/CMU-1-Small-Region.svs": "same-container",
    "aperio/luna-1065626-jp2k.svs": "same-container",
    "generic-tiff/CMU-0-small.tiff": "same-container",
    "ome-tiff/OS-1-detail.ome.tif": "same-container",
    "hamamatsu/test3-DAPI.ndpi": "converted",
    "dicom/pyramid-6-levels": "converted",
    "dicom/cmu-1-small-region": "converted",
}
POLICY = load("strict")


@pytest.fixture(scope="module")
def cleaned(real_slide, tmp_path_factory):
    """The clean slide of a real one, made once."""
    done = {}

    def once(name):
        if name not in done:
            out = tmp_path_factory.mktemp("real")
            done[name] = deidentify(real_slide(name), out, policy=POLICY, key=KEY)
        return done[name]

    return once


@pytest.mark.parametrize("name", SLIDES)
def test_it_comes_out_clean(cleaned, name):
    """The verifier agrees, by the route we announce."""
    outcome = cleaned(name)
    assert isinstance(outcome, Cleaned), outcome
    assert outcome.route == SLIDES[name]


@pytest.mark.parametrize("name", SLIDES)
def test_no_value_of_any_element_is_left(cleaned, real_slide, name):
    """Every removed value that is long enough to mean something is searched for in every file we wrote."""
    outcome = cleaned(name)
    slide = open_slide(real_slide(name))
    plan = POLICY.plan(slide.inventory())
    slide.close()
    kept = {d.element.untrusted_text for d in plan if isinstance(d.action, Keep)}
    gone = {d.element.untrusted_value for d in plan if not isinstance(d.action, Keep)}
    words = {value for value in gone if len(value) >= 8 and meaningful(value.decode("latin-1"), kept)}
    assert words
    for file in outcome.clean.parent.iterdir():
        data = file.read_bytes()
        assert not {path for path in words if any(form in data for form in forms(path))}, file.suffix


def meaningful(text, kept):
    """Not a number, not empty, not part of what stays on purpose, nor a word of every TIFF or DICOM."""
    plain = text.strip("\0 \r\n")
    number = plain.replace(".", "").replace("-", "").replace(" ", "").replace("\\", "").isdigit()
    return (
        bool(plain)
        and not number
        and plain.isprintable()
        and not any(plain in word for word in kept)
        and plain not in ORDINARY
    )


ORDINARY = {"generic-tiff", "hamamatsu"}
"""The certificate names the source's format."""


@pytest.mark.parametrize("name", SLIDES)
def test_pixels_and_scale_are_the_source_s(cleaned, real_slide, name):
    """Same size and resolution; pixels bit for bit, or within JPEG's tolerance where they were encoded anew."""
    outcome = cleaned(name)
    source = real_slide(name)
    entry = next(iter(sorted(source.iterdir()))) if source.is_dir() else source
    try:
        before, after = OpenSlide(entry), OpenSlide(outcome.clean)
    except OpenSlideUnsupportedFormatError:
        assert np.array_equal(tifffile.imread(source), tifffile.imread(outcome.clean))
        return
    with before, after:
        assert after.level_dimensions[0] == before.level_dimensions[0]
        for axis in "xy":
            wanted = float(before.properties[f"openslide.mpp-{axis}"])
            assert float(after.properties[f"openslide.mpp-{axis}"]) == pytest.approx(wanted, rel=1e-5)
        where, size = (200, 300), (600, 500)
        pixels = [np.asarray(s.read_region(where, 0, size).convert("RGB"), np.float64) for s in (before, after)]
        error = np.mean((pixels[0] - pixels[1]) ** 2)
        assert error == 0 if outcome.route == "same-container" else error < 255**2 / 10**3.5


def test_mirax_with_identifiers_everywhere(tmp_path):
    """A planted MIRAX slide comes out as pixels and numbers."""
    (tmp_path / "in").mkdir()
    planted: Planted = mirax.write(tmp_path / "in", seed=21)
    outcome = deidentify(planted.path, tmp_path / "out", policy=POLICY, key=KEY)
    assert isinstance(outcome, Cleaned), outcome
    for file in (tmp_path / "out").iterdir():
        assert hits(planted, file.read_bytes()) == []
        assert hits(planted, file.name.encode()) == []
