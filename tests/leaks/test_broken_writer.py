"""A writer that breaks one promise is caught by the check meant for it, whichever promise it is.

The slides hold no identifier at all, so that the search for removed values cannot be what catches it; where the search
is meant, the value is one nobody could find by another check.
"""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from coverslip.codestreams.jpeg import Span
from coverslip.formats.aperio import AperioDescription
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned, Quarantined
from coverslip.pipeline import deidentify
from coverslip.policy import load
from coverslip.tiff import tags as t
from coverslip.write import emit, fields, tiff
from samples import aperio
from samples.codecs import COM, segment


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A small slide in which nothing is planted."""
    path = tmp_path_factory.mktemp("broken") / "slide.svs"
    return aperio.write(path, Size(1200, 900), seed=5, identifiers=False).path


@pytest.fixture
def outcome(slide, tmp_path):
    """Run the pipeline as it is patched now, each time into a folder of its own."""
    folders = (tmp_path / str(number) for number in itertools.count())
    return lambda *words: deidentify(slide, next(folders), policy=load("strict"), key=b"k" * 32, untrusted_words=words)


def found(outcome):
    """Check and code of every finding; the slide must be held back and nothing of it delivered."""
    assert isinstance(outcome, Quarantined), outcome
    assert outcome.code == "verification-failed"
    assert [file.suffixes[-2:] for file in outcome.certificate.parent.iterdir()] == [[".findings", ".json"]]
    findings = json.loads(outcome.certificate.read_text())["verification"]["findings"]
    return {(finding["check"], finding["code"]) for finding in findings}


def test_the_honest_writer_passes(outcome):
    """Without a defect the slide is delivered, so the tests below fail for their defect only."""
    assert isinstance(outcome(), Cleaned)


def adding(monkeypatch, *more):
    """The first page gets fields of the writer's own."""
    honest = tiff._rebuilt_fields

    def broken(slide, page, plan):
        yield from honest(slide, page, plan)
        yield from more if page.directory.path == "ifd[0]" else ()

    monkeypatch.setattr(tiff, "_rebuilt_fields", broken)


def test_keeps_the_software_tag(outcome, monkeypatch):
    """Tag 305 is there, and says nothing."""
    adding(monkeypatch, fields.OutField(305, t.ASCII, b"x\0"))
    assert found(outcome()) == {("structure", "unexpected-tag")}


def test_keeps_what_a_slide_was_called(outcome, monkeypatch):
    """The name it was uploaded under, which stands nowhere in the source, stands where numbers may."""
    adding(monkeypatch, fields.OutField(532, t.RATIONAL, b"S12-34567 DOE^JANE 1961-03-04".ljust(48, b" ")))
    findings = found(outcome("Kowalczyk/S12-34567 DOE^JANE.svs", "S12-34567 DOE^JANE"))
    assert ("leaks", "secret-found") in findings
    assert ("leaks", "secret-found") not in found(outcome("Kowalczyk", "S12-98765 ROE^JOHN"))


def test_keeps_comments_in_tiles(outcome, monkeypatch):
    """A COM segment stands in a tile, too short for any search."""
    honest, comment = tiff._copied, segment(COM, b"hi")

    def broken(slide, page, plan):
        made = honest(slide, page, plan)
        blocks, number = made.blocks, int(made.blocks.prefix[0])
        span = Span(int(blocks.start[0]), int(blocks.stop[0]))
        if number < 0:
            pieces = (b"\xff\xd8" + comment, Span(span.start + 2, span.stop))
        else:
            prefix = blocks.prefixes[number]
            pieces = (prefix[:2] + comment + prefix[2:], span)
        blocks.rebuilt[0] = pieces
        return replace(made, lengths=blocks.lengths)

    monkeypatch.setattr(tiff, "_copied", broken)
    assert found(outcome()) == {("scans", "foreign-marker")}


def test_leaves_orphan_bytes(outcome, monkeypatch):
    """A hundred bytes nobody owns stand at the end."""
    honest = emit.Emitter.finish

    def broken(self):
        self.add(bytes(range(100)))
        honest(self)

    monkeypatch.setattr(emit.Emitter, "finish", broken)
    assert found(outcome()) == {("ledger", "unowned-bytes")}


def test_changes_the_last_digit_of_the_resolution(outcome, monkeypatch):
    """MPP 0.2533 becomes 0.2534."""
    honest = AperioDescription.rebuild

    def broken(self, path, keeps):
        text = honest(self, path, keeps)
        assert b"MPP = 0.2533" in text or b"MPP" not in text
        return text.replace(b"MPP = 0.2533", b"MPP = 0.2534")

    monkeypatch.setattr(AperioDescription, "rebuild", broken)
    assert found(outcome()) == {("utility", "reads-differently")}


def test_writes_a_word_into_the_description(outcome, monkeypatch):
    """Under a key that may stand, with a value nobody searches for."""
    honest = AperioDescription.rebuild
    monkeypatch.setattr(AperioDescription, "rebuild", lambda *given: honest(*given) + b"|Offset = left")
    assert found(outcome()) == {("structure", "description")}


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
    assert ("scans", "scan-differs") in found(outcome())


def in_place_of_the_thumbnail(monkeypatch, pixels):
    """Another picture where the thumbnail belongs, encoded by us, so that no byte of it is the source's."""
    import simplejpeg

    from coverslip.write.thumbnail import _bare

    honest = tiff._regenerated

    def broken(slide, page, plan):
        made = honest(slide, page, plan)
        data = _bare(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=80, colorsubsampling="444"))
        size = Size(pixels.shape[1], pixels.shape[0])
        numbers = [fields.integer(slide.tiff.order, c, *v) for c, v in tiff._thumbnail_fields(size).items()]
        return replace(made, fields=numbers, data=data, lengths=np.array([len(data)], np.int64))

    monkeypatch.setattr(tiff, "_regenerated", broken)


def test_keeps_the_label_encoded_anew(outcome, slide, monkeypatch):
    """The label comes along as a JPEG of our own making."""
    from openslide import OpenSlide

    with OpenSlide(slide) as opened:
        label = np.asarray(opened.associated_images["label"].convert("RGB"))
    in_place_of_the_thumbnail(monkeypatch, label)
    assert found(outcome()) >= {("labels", "private-picture"), ("scene", "not-the-same-scene")}


def test_shows_another_slide_as_its_thumbnail(outcome, monkeypatch):
    """Like no picture of this slide, private or not."""
    from samples.tissue import Tissue

    in_place_of_the_thumbnail(monkeypatch, Tissue(Size(300, 225), seed=99, share=0.6).crop(0, 0, 300, 225))
    assert found(outcome()) == {("scene", "not-the-same-scene")}


def test_leaves_a_level_out(outcome, monkeypatch):
    """The reduced levels are missing."""
    honest = tiff._appears
    monkeypatch.setattr(tiff, "_appears", lambda page, plan: honest(page, plan) and page.role.value != "level")
    assert found(outcome()) == {("utility", "reads-differently")}
