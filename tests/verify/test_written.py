"""What our own writer makes of generated and real slides, judged by a verifier that shares nothing with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coverslip.formats import open_slide
from coverslip.geometry import Size
from coverslip.pipeline import plan_slide, write_clean
from coverslip.policy import load
from coverslip.verify import Claim, Secret, verify, verify_alone
from samples import aperio, generic

REAL = Path(os.environ.get("COVERSLIP_REAL_SLIDES", "../shared/slides"))
SLIDES = (
    "aperio/CMU-1-Small-Region.svs",
    "aperio/luna-1065626-jp2k.svs",
    "generic-tiff/CMU-0-small.tiff",
    "ome-tiff/OS-1-detail.ome.tif",
    "hamamatsu/test3-DAPI.ndpi",
)
MADE = {
    "aperio": lambda path: aperio.write(path, Size(700, 500)),
    "gt450": lambda path: aperio.write(path, Size(700, 500), variant="gt450", codec="jpeg-ycbcr"),
    "aperio j2k": lambda path: aperio.write(path, Size(700, 500), codec="j2k-ycbcr"),
    "generic jpeg": lambda path: generic.write(path, Size(700, 500), codec="jpeg"),
    "generic lzw": lambda path: generic.write(path, Size(700, 500), codec="lzw"),
    "generic deflate": lambda path: generic.write(path, Size(700, 500), codec="deflate"),
}


def cleaned(source, folder):
    """The writer's output, and the values a strict policy removed."""
    slide = open_slide(source)
    plan = plan_slide(slide, load("strict"))
    target = folder / ("clean.svs" if slide.facts.vendor == "aperio" else "clean.tiff")
    write_clean(slide, plan, target)
    return target, slide.route


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    """A generated slide with an identifier in every place."""
    folder = tmp_path / "source"
    folder.mkdir()
    return MADE[request.param](folder / ("slide.svs" if "generic" not in request.param else "slide.tif"))


def test_generated_slides_pass(made, tmp_path):
    """Every planted identifier is among the secrets, and none is left."""
    target, route = cleaned(made.path, tmp_path)
    secrets = tuple(Secret(item.place, item.value.encode()) for item in made.identifiers if item.searchable)
    report = verify(Claim(target, made.path, route, secrets))
    assert report.findings == ()
    assert report.leaks.searched > 0.9 * len(secrets)


def test_the_source_itself_does_not_pass(made):
    """With the very same list, the untouched slide fails in every check that reads bytes."""
    secrets = tuple(Secret(item.place, item.value.encode()) for item in made.identifiers if item.searchable)
    report = verify_alone(made.path, made.path)
    failed = {check.name for check in report.checks if not check.passed}
    assert {"ledger", "structure", "leaks"} <= failed
    listed = verify(Claim(made.path, made.path, open_slide(made.path).route, secrets))
    assert listed.leaks.hits > 0


@pytest.mark.parametrize("name", SLIDES)
def test_real_slides_pass(name, tmp_path):
    """Written by us, read by a walk of its own: nothing left, nothing changed."""
    source = REAL / name
    if not source.exists():
        pytest.skip(f"needs the real slide {name}: set COVERSLIP_REAL_SLIDES")
    target, _ = cleaned(source, tmp_path)
    report = verify_alone(target, source)
    assert report.findings == ()
    assert report.scans.compared == report.scans.identical > 0
