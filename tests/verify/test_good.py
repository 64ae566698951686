"""The clean slide that should pass, in every container, and what its report says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import tifffile

from coverslip.verify import as_dict, verify_alone


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_good_slide_passes(workshop, big, order):
    """Classic and BigTIFF, both byte orders: no finding, no unowned byte, every scan identical."""
    workshop.source = replace(workshop.source, big=big, order=order)
    report = workshop.judge(replace(workshop.clean, big=big, order=order))
    assert report.findings == ()
    assert report.passed
    assert report.ledger.unowned == 0
    assert sum(report.ledger.owned.values()) == report.ledger.total == report.clean_bytes
    assert report.scans.compared == report.scans.identical == report.scans.tiles == 13


@pytest.mark.parametrize("big", [False, True])
def test_each_byte_is_booked_to_whom_it_belongs(workshop, big):
    """Tiles, strips, their addresses and directories have as many bytes as tifffile says."""
    owned = workshop.judge(replace(workshop.clean, big=big)).ledger.owned
    with tifffile.TiffFile(workshop.folder / "clean.svs") as tiff:
        pages = list(tiff.pages)
    tiled = [page for page in pages if page.is_tiled]
    others = [page for page in pages if not page.is_tiled]
    assert tiled
    assert others
    head, entry, link, number = (8, 20, 8, 8) if big else (2, 12, 4, 4)
    assert owned["header"] == (16 if big else 8)
    assert owned["directory"] == sum(head + entry * len(page.tags) + link for page in pages)
    assert owned["offsets and counts"] == sum(
        2 * number * len(page.databytecounts) for page in pages if len(page.databytecounts) > 1
    )
    assert owned["tile"] == sum(sum(page.databytecounts) for page in tiled)
    assert owned["strip"] == sum(sum(page.databytecounts) for page in others)
    assert 0 < owned["value"] < 4096


def test_digests_are_those_of_the_stored_tiles(workshop):
    """The list of hashes is level by level in tile order, over the bytes as stored."""
    report = workshop.judge(workshop.clean)
    tiles = [piece for number in (0, 2) for piece in workshop.clean.pages[number].pieces]
    assert report.scans.digests == b"".join(hashlib.sha256(tile).digest() for tile in tiles)
    assert report.clean_sha256 == hashlib.sha256((workshop.folder / "clean.svs").read_bytes()).hexdigest()


def test_the_certificate_says_the_same_twice_and_no_value(workshop):
    """Same slide, same report, and neither a removed value nor a path of this machine in it."""
    first = json.dumps(as_dict(workshop.judge(workshop.clean)))
    assert first == json.dumps(as_dict(workshop.judge(workshop.clean)))
    assert "ZQ-7781" not in first
    assert str(workshop.folder) not in first
    assert "clean.svs" not in first


def test_short_values_are_proved_by_structure(workshop):
    """`Slide = 3` cannot be searched for: the report says so instead of finding it in every number."""
    proofs = {proof.path: proof for proof in workshop.judge(workshop.clean).leaks.secrets}
    assert proofs["ifd[0]/ImageDescription/Slide"].proof == "structure"
    assert proofs["ifd[0]/ImageDescription/Patient"].proof == "searched"


def test_alone_with_the_source_finds_its_own_secrets(workshop):
    """Without a plan the verifier reads the source's words itself and still passes the good slide."""
    clean = workshop.clean.write(workshop.folder / "clean.svs")
    source = workshop.source.write(workshop.folder / "S12-34567.svs")
    report = verify_alone(clean, source)
    assert report.findings == ()
    assert report.leaks.searched >= 3


def test_alone_with_the_source_sees_a_kept_value(workshop):
    """The same walk finds the source's own words in a slide that kept them."""
    kept = workshop.clean.page(0, lambda page: page.with_tag(workshop.source.pages[0].tags[-1]))
    report = verify_alone(
        kept.write(workshop.folder / "clean.svs"), workshop.source.write(workshop.folder / "source.svs")
    )
    assert ("leaks", "secret-found") in {(finding.check, finding.code) for finding in report.findings}


def test_alone_without_a_source(workshop):
    """Only the slide itself: ledger, structure and markers are judged, nothing is compared."""
    report = verify_alone(workshop.clean.write(workshop.folder / "clean.svs"))
    assert report.passed
    assert report.scans.method == "none"
    bad = workshop.source.write(workshop.folder / "source.svs")
    assert {"foreign-marker", "unowned-bytes", "description"} <= {found.code for found in verify_alone(bad).findings}
