"""What is public, and what the wheel holds."""

import importlib
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SIDE_EFFECTS = {"silence"}
"""Imported to be called at import, not to be handed on."""


def place(name):
    """As isort orders names: constants, classes, functions."""
    return not name.isupper(), not name[0].isupper(), name


@pytest.mark.parametrize("name", ["coverslip", "coverslip.policy", "coverslip.verify"])
def test_exported_names_are_complete_and_sorted(name):
    """Whatever a package imports from its parts is in `__all__`, and nothing else."""
    package = importlib.import_module(name)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_") and not isinstance(value, ModuleType) and key != "annotations"
    }
    assert sorted(public - SIDE_EFFECTS, key=place) == list(package.__all__)


def test_the_wheel_holds_the_library_alone(tmp_path):
    """All of coverslip/, its metadata, and nothing of service, workers, samples or tests."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    about = f"coverslip-{version}.dist-info/"
    assert {name for name in held if not name.startswith(("coverslip/", about))} == set()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "coverslip").rglob("*") if path.is_file()}
    assert {name for name in sources if "__pycache__" not in name} - held == set()
