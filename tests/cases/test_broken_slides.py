"""Broken slides end in a typed refusal, or in a right result where the damage touches nothing that is kept."""

import pytest

from coverslip.outcomes import Cleaned
from coverslip.pipeline import deidentify
from coverslip.policy import load
from samples import broken

POLICY = load("strict")


@pytest.mark.parametrize("case", list(broken.cases()), ids=lambda case: case.name)
def test_broken_slide(case, tmp_path):
    """The outcome's code is one of those the case allows, and nothing is left behind but a result."""
    outcome = deidentify(case.build(tmp_path), tmp_path / "out", policy=POLICY, key=b"k" * 32)
    code = "ok" if isinstance(outcome, Cleaned) else outcome.code
    assert code in case.codes
    left = {file.suffix for file in (tmp_path / "out").iterdir()} if (tmp_path / "out").exists() else set()
    assert left <= ({".svs", ".tiff", ".json", ".html", ".sha256"} if code == "ok" else {".json"})
