"""What is public, and what the wheel holds."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest

import coverslip

ROOT = Path(__file__).parents[2]
OURS = {"coverslip", "service", "workers"}
COMES_WITH = {"starlette": "fastapi", "markupsafe": "jinja2", "kombu": "celery", "redis": "celery"}
"""Parts of what is declared, used by name."""


def place(name):
    """As isort orders names: constants, classes, functions."""
    return not name.isupper(), not name[0].isupper(), name


def test_public_names_are_found_when_asked_for():
    """Each name of the library's public list has a home and is there, and no other name is promised."""
    assert list(coverslip.__all__) == sorted(coverslip._HOMES, key=place)
    assert all(getattr(coverslip, name) is not None for name in coverslip.__all__)
    with pytest.raises(AttributeError):
        _ = coverslip.nobody_promised_this


@pytest.mark.parametrize("name", ["coverslip.policy", "coverslip.pyramid", "coverslip.verify"])
def test_exported_names_are_complete_and_sorted(name):
    """Whatever a package imports from its parts is in `__all__`, and nothing else."""
    package = importlib.import_module(name)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_") and not isinstance(value, ModuleType) and key != "annotations"
    }
    assert sorted(public, key=place) == list(package.__all__)


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


def imported(folder):
    """Top-level names a folder's files import, wherever in the file they do."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def declared(*extras):
    """Distributions pyproject.toml asks for, as normal names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    return {normal(re.match(r"[\w.-]+", one)[0]) for one in asked}


def normal(name):
    """A distribution's name as the packaging rules compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("folder", "extras"), [("coverslip", ("service", "s3")), ("service", ("service",)), ("workers", ("workers",))]
)
def test_what_is_imported_is_declared(folder, extras):
    """A part that is installed here by chance would be missing elsewhere, and a wall with it."""
    known = packages_distributions()
    wanted = {name for name in imported(folder) if name not in sys.stdlib_module_names and name not in OURS}
    assert wanted
    missing = {
        name
        for name in wanted
        if declared(*extras).isdisjoint(normal(one) for one in [COMES_WITH.get(name, name), *known.get(name, [])])
    }
    assert missing == set()
