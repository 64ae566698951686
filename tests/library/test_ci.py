"""In CI nothing is skipped in silence: not a test, not a module, and not by saying that the kernel forbids it."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SKIPS = {
    "test": "import pytest\ndef test_it(): pytest.skip('not today')",
    "marked": "import pytest\n@pytest.mark.skip(reason='not today')\ndef test_it(): pass",
    "fixture": "import pytest\n@pytest.fixture\ndef it(): pytest.skip('not today')\ndef test_it(it): pass",
    "package": "import pytest\npytest.importorskip('there_is_no_such_package')\ndef test_it(): pass",
    "module": "import pytest\npytest.skip('not today', allow_module_level=True)\ndef test_it(): pass",
    "words": "import pytest\ndef test_it(): pytest.skip('the kernel forbids it: so they say')",
    "words_in_module": (
        "import pytest\npytest.skip('the kernel forbids it: so they say', allow_module_level=True)\ndef test_it(): pass"
    ),
}
OTHERS = {
    "kernel": "from tests.faults.kernel import kernel_forbids\ndef test_it(): kernel_forbids('a mount')",
    "passes": "def test_it(): pass",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """pytest over one file of each kind under our rules, in CI and elsewhere: how each ended, and why."""
    folder = tmp_path_factory.mktemp("ci")
    for name, code in (SKIPS | OTHERS).items():
        (folder / f"test_{name}.py").write_text(code + "\n")
    return {ci: _run(folder, ci) for ci in ("true", "")}


def _run(folder: Path, ci: str) -> dict[str, tuple[str, str]]:
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", ".", "--junitxml", "found.xml"]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(CHECKOUT), "PYTEST_ADDOPTS": ""}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    found = {}
    for case in ElementTree.parse(folder / "found.xml").iter("testcase"):
        told = next(iter(case), None)
        name = (case.get("classname") or case.get("name") or "").removeprefix("test_")
        found[name] = ("passed", "") if told is None else (told.tag, f"{told.get('message')} {told.text}")
    return found


@pytest.mark.parametrize("kind", SKIPS)
def test_what_is_skipped_in_ci_fails(outcomes, kind):
    """And says why; elsewhere it is skipped."""
    tag, reason = outcomes["true"][kind]
    assert tag in ("failure", "error")
    assert "skipped in CI: " in reason
    assert outcomes[""][kind][0] == "skipped"


def test_what_the_kernel_forbids_is_no_failure(outcomes):
    """Where our own way of asking it says so."""
    assert outcomes["true"]["kernel"][0] == outcomes[""]["kernel"][0] == "skipped"


def test_what_passes_passes(outcomes):
    """So that the tests above fail for the skip."""
    assert outcomes["true"]["passes"] == outcomes[""]["passes"] == ("passed", "")
