"""Whatever random damage does to a slide, the confined child ends with a result or a typed code, within its limits."""

import os
import re

import pytest

from coverslip.errors import tree
from samples import hostile
from tests.hostile.running import mutations

RUNS = int(os.environ.get("COVERSLIP_HOSTILE_RUNS", "16"))
"""Damaged slides per kind; 500 for a long run."""
BATCH = 8
CODES = {"ok", *(error.code for error in tree())} - {"coverslip-error", "child-crashed", "storage-failed"}
"""A crash is typed too, but none is accepted: what libraries do on damage is known and named."""
PLANTED = re.compile(
    r"ZQ|JANE|slide\.(svs|tiff|tif|ndpi|mrxs|dcm|vms|vmu|czi|svslide|zip|scn|bif|ngr|full)", re.IGNORECASE
)
"""What every planted identifier, and every file name, has in it."""


FOUND = (("aperio", 260), ("dicom", 185), ("mirax", 46), ("vms", 109))
"""Damage that a long run found us without an answer to: a page without a picture, an offset of a frame that leads
nowhere, keys that are no UTF-8."""


@pytest.mark.parametrize(("name", "seed"), FOUND)
def test_what_was_found_stays_answered(name, seed, zygote, tmp_path):
    """The same damage again."""
    kind = next(kind for kind in hostile.KINDS if kind.name == name)
    (ended,) = mutations(zygote, kind, range(seed, seed + 1), tmp_path)
    assert ended.code in CODES, ended.where


@pytest.mark.parametrize("first", range(0, RUNS, BATCH))
@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.name)
def test_damage_ends_in_a_result_or_a_code(kind, first, zygote, tmp_path, capfd):
    """No crash, nothing touched outside, nothing half done shown, nothing said that stood in the file."""
    for ended in mutations(zygote, kind, range(first, min(first + BATCH, RUNS)), tmp_path):
        assert ended.code in CODES, (ended.seed, ended.where)
        assert not ended.touched, ended.seed
        assert ended.peak <= 1 << 30, ended.seed
        assert ended.cpu <= 30, ended.seed
        told = ended.text if ended.code != "ok" else ""
        assert not PLANTED.search(told + ended.where), ended.seed
    assert not PLANTED.search("".join(capfd.readouterr()))


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.name)
def test_the_undamaged_slide_is_cleaned(kind, zygote, tmp_path):
    """Otherwise the damage would prove nothing."""
    from tests.hostile.running import run

    sound = hostile.sound(kind, tmp_path / "sound" / "slide")
    assert run(zygote, sound.entry, tmp_path / "out").code == "ok"
