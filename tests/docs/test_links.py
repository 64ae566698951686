"""Documents point only at what is there."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
SKIP = ("node_modules", "var", "dist", ".")
PAGES = sorted(
    path for path in ROOT.rglob("*.md") if not any(part.startswith(SKIP) for part in path.relative_to(ROOT).parts)
)
HOSTS = {"tus.io", "127.0.0.1"}
"""The only machines a document may point at."""
LARGEST_PICTURE = 300_000
TREES = "coverslip|service|workers|samples|tests|docs|scripts|benchmarks|requirements|deploy"


def anchors(page):
    """Anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """Relative links, anchors and pictures exist; links out go to a few known places."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        link = urlsplit(target)
        if link.scheme:
            dead += [] if link.hostname in HOSTS else [target]
            continue
        there = (page.parent / link.path).resolve() if link.path else page
        if not there.exists() or (link.fragment and there.suffix == ".md" and link.fragment not in anchors(there)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page):
    """A path in backticks is the path of something."""
    text = page.read_text()
    named = re.findall(rf"`((?:{TREES})/[\w./-]*)`", text) + re.findall(r"`([\w./]+\.py)`", text)
    assert [name for name in named if not ((ROOT / name).exists() or (ROOT / "coverslip" / name).exists())] == []


def test_pages_are_found():
    """The search for pages sees them: README, decisions and the documents."""
    names = {path.name for path in PAGES}
    assert {
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "0001-api-key-digests.md",
        "guide.md",
    } <= names


def test_promises_name_tests():
    """Each promise of SECURITY.md links a test, and each of those files holds tests."""
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| **")]
    assert len(rows) >= 8
    linked = {row: re.findall(r"\]\((tests/[^)]+)\)", row) for row in rows}
    assert [row[:40] for row, found in linked.items() if not found] == []
    assert [name for found in linked.values() for name in found if "def test_" not in (ROOT / name).read_text()] == []


def test_make_verbs_exist():
    """Every `make` verb a document names is in the Makefile."""
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {verb for page in PAGES for verb in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert named - verbs == set()
    assert len(named) >= 6


def test_pictures_are_small():
    """A clone stays small."""
    pictures = [path for path in (ROOT / "docs" / "images").iterdir() if path.is_file()]
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > LARGEST_PICTURE] == []


def test_no_page_names_a_place_on_somebody_s_machine():
    """Documents and container files are read elsewhere."""
    files = [*PAGES, *(ROOT / name for name in ("Dockerfile", "compose.yaml", ".dockerignore", ".env.example"))]
    places = re.compile(r"(?<![\w.])/(?:work|root|home)/\w")
    assert [path.name for path in files if places.search(path.read_text())] == []


def test_what_pages_name_is_tracked():
    """A linked file that exists here only, e.g. because it is ignored, is missing in a clone."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    linked = {
        (page.parent / target.partition("#")[0]).resolve().relative_to(ROOT)
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text())
        if target.partition("#")[0]
    }
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, linked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout == ""


def test_decisions_are_numbered_once():
    """A decision is cited by its number: each has its own, the heading says the same, and none is left out."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    headings = [path.read_text(encoding="utf-8").split(".", 1)[0] for path in decisions]
    assert headings == [f"# {number}" for number in range(1, len(decisions) + 1)]
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
