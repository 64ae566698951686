"""A writer that breaks one promise is caught by the verifier, whichever promise it is."""

from dataclasses import replace

import numpy as np
import pytest

from coverslip.codestreams import jpeg, jpeg_header
from coverslip.formats.aperio import AperioDescription
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.tiff import tags as t
from coverslip.write import emit, fields, tiff
from samples import aperio


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A small planted slide, without the value search's easiest prey: tests below must be caught by the right check."""
    return aperio.write(tmp_path_factory.mktemp("broken") / "slide.svs", Size(1200, 900), seed=5).path


@pytest.fixture
def outcome(slide, tmp_path):
    """Run the pipeline as it is patched now."""
    return lambda: deidentify(slide, tmp_path / "out", policy=load("strict"), key=b"k" * 32)


def checks(outcome):
    """Which checks found something; the slide must be held back and nothing of it delivered."""
    assert isinstance(outcome, Quarantined), outcome
    assert outcome.code == "verification-failed"
    assert [file.suffixes[-2:] for file in outcome.certificate.parent.iterdir()] == [[".findings", ".json"]]
    return outcome.reasons


def test_the_honest_writer_passes(outcome):
    """Without a defect the slide is delivered, so the tests below fail for their defect only."""
    assert isinstance(outcome(), Cleaned)


def test_keeps_software_tag(outcome, monkeypatch):
    """Tag 305 comes along."""
    honest = tiff._rebuilt_fields

    def broken(slide, page, plan):
        yield from honest(slide, page, plan)
        yield fields.OutField(305, t.ASCII, page.directory.raw(305))

    monkeypatch.setattr(tiff, "_rebuilt_fields", broken)
    assert any("305" in reason for reason in checks(outcome()))


def test_keeps_comments_in_tiles(outcome, monkeypatch):
    """COM segments inside tiles survive the copy."""
    honest = jpeg_header.Builder._opening

    def broken(self, frame):
        yield from (segment.encode() for segment in self.foreign if segment.marker == jpeg.COM)
        yield from honest(self, frame)

    monkeypatch.setattr(jpeg_header.Builder, "_opening", broken)
    assert any("tile" in reason for reason in checks(outcome()))


def test_leaves_orphan_bytes(outcome, monkeypatch):
    """A hundred bytes nobody owns stand at the end."""
    honest = emit.Emitter.finish

    def broken(self):
        self.add(bytes(range(100)))
        honest(self)

    monkeypatch.setattr(emit.Emitter, "finish", broken)
    assert any("belong" in reason or "unowned" in reason or "own" in reason for reason in checks(outcome()))


def test_changes_the_last_digit_of_the_resolution(outcome, monkeypatch):
    """MPP 0.2533 becomes 0.2534."""
    honest = AperioDescription.rebuild

    def broken(self, path, keeps):
        text = honest(self, path, keeps)
        assert b"MPP = 0.2533" in text or b"MPP" not in text
        return text.replace(b"MPP = 0.2533", b"MPP = 0.2534")

    monkeypatch.setattr(AperioDescription, "rebuild", broken)
    assert checks(outcome())


def test_swaps_two_tiles(outcome, monkeypatch):
    """Two tiles of the base level change places: every byte is still there, the picture is wrong."""
    honest = tiff._place

    def broken(page, at):
        offsets, end = honest(page, at)
        lengths = page.lengths
        if page.tiled and len(lengths) > 4:
            offsets[[1, 2]], lengths[[1, 2]] = offsets[[2, 1]], lengths[[2, 1]]
        return offsets, end

    monkeypatch.setattr(tiff, "_place", broken)
    assert any("tile" in reason for reason in checks(outcome()))


def test_keeps_the_label_encoded_anew(outcome, slide, monkeypatch):
    """The label comes along as a JPEG of our own making, so no byte of it is the source's."""
    import simplejpeg
    from openslide import OpenSlide

    with OpenSlide(slide) as opened:
        label = np.asarray(opened.associated_images["label"].convert("RGB"))
    honest = tiff._regenerated

    def broken(slide, page, plan):
        made = honest(slide, page, plan)
        data = tiff_strip(simplejpeg.encode_jpeg(np.ascontiguousarray(label), quality=80, colorsubsampling="444"))
        size = Size(label.shape[1], label.shape[0])
        numbers = [fields.integer(slide.tiff.order, c, *v) for c, v in tiff._thumbnail_fields(size).items()]
        return replace(made, fields=numbers, data=data, lengths=np.array([len(data)], np.int64))

    monkeypatch.setattr(tiff, "_regenerated", broken)
    assert any("label" in reason for reason in checks(outcome()))


def tiff_strip(encoded):
    """A JPEG file as the writer would store it: without JFIF."""
    from coverslip.write.thumbnail import _bare

    return _bare(encoded)
