"""What the code has, the documents tell; what nobody wrote about fails."""

import re
from pathlib import Path

import pytest
import typer

from coverslip import cli, policy
from coverslip.archive.states import State
from coverslip.errors import (
    Cancelled,
    ConfinementFailed,
    InputError,
    OutputExists,
    PolicyInvalid,
    PyramidInvalid,
    StorageFailed,
    VerificationFailed,
)
from coverslip.formats import READERS
from coverslip.policy.model import Form
from coverslip.settings import Settings
from docs import make
from service import errors, reasons, safety, website
from service.roles import Role
from service.routes import images, ops, tiles

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NO_CODES = {"mpp-x", "mpp-y", "objective-power", "background-color", "bit-identical"}
"""Words of this shape in the verifier that are no finding's code."""


@pytest.fixture(scope="module")
def told():
    """The words in backticks of one document, or a document's whole text with `raw`."""

    def read(name, *, raw=False):
        text = (DOCS / name).read_text()
        return text if raw else set(re.findall(r"`([^`\n]+)`", text))

    return read


def test_settings(told):
    """Every field of Settings is a variable somebody can look up."""
    assert {f"COVERSLIP_{name.upper()}" for name in Settings.model_fields} - told("settings.md") == set()


def test_variables_outside_of_settings(told):
    """Variables the code reads past Settings are told there too."""
    read = {
        name
        for path in (ROOT / "coverslip").rglob("*.py")
        for name in re.findall(r"COVERSLIP_[A-Z_]+\b", path.read_text())
    }
    assert {name for name in read if not name.endswith("_")} - told("settings.md") == set()


def test_error_codes(told):
    """Every code of the tree, of the front end and of the router."""
    codes = {kind.code for kind in make.ours()} | {code for code, _ in errors.ROUTING_CODES.values()}
    assert {safety.UnsafeStart.code, errors.RequestRefused.code} <= codes
    assert (codes | {errors.UNEXPECTED[0], "invalid-parameter"}) - told("errors.md") == set()


def test_advice():
    """Whatever can end a slide's work is explained, and nothing is that no class carries."""
    ends = (InputError, VerificationFailed, PolicyInvalid, OutputExists, StorageFailed, PyramidInvalid, Cancelled)
    codes = {kind.code for root in (*ends, ConfinementFailed) for kind in make.ours(root)}
    assert codes - set(reasons.TODO) == set()
    assert set(reasons.TODO) - {kind.code for kind in make.ours()} == set()


def test_routes(told):
    """Every address of the routers and of the bare tile application."""
    text = told("api.md", raw=True)
    routes = {(method, route.path) for router in website.ROUTERS for route in router.routes for method in route.methods}
    assert len(routes) > 20
    assert {row for row in routes if "| {} | `{}` |".format(*row) not in text} == set()
    endings = re.search(r"\(\?P<what>(.*?)\)", tiles.ADDRESS.pattern)[1].replace("\\", "").split("|")
    assert [end for end in [*endings, "_files/"] if f"/slides/{{sid}}{end}" not in text] == []


def test_documented_routes_exist(told):
    """A route that is gone is gone from the page."""
    rows = re.findall(r"^\| ([A-Z]+) \| `([^`]+)` \|", told("api.md", raw=True), re.MULTILINE)
    there = {(method, route.path) for router in website.ROUTERS for route in router.routes for method in route.methods}
    gone = {(method, path) for method, path in rows if (method, path) not in there}
    beside = {path.split("?")[0] for _, path in gone}
    assert {path for path in beside if not (tiles.ADDRESS.fullmatch(filled(path)) or picture_routes(path))} == set()


def filled(path):
    """An address as the page writes it, with something in every place."""
    values = {"fmt": "png", "dz_level": "9", "region": "full", "quality": "default", "name": "thumbnail"}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "1"), path)


def picture_routes(path):
    """The picture routes an address as the page writes it belongs to."""
    return {route.pattern.pattern for route in images.ROUTES if route.pattern.fullmatch(filled(path))}


def test_picture_routes(told):
    """Every address beside the routers is on the page, with every parameter it takes."""
    text = told("api.md", raw=True)
    rows = re.findall(r"^\| GET \| `([^`?]+)", text, re.MULTILINE)
    documented = set().union(*(picture_routes(path) for path in rows))
    assert [route.pattern.pattern for route in images.ROUTES if route.pattern.pattern not in documented] == []
    parameters = set().union(*(route.parameters for route in images.ROUTES))
    assert {name for name in parameters if f"`{name}`" not in text} == set()


def test_roles(told):
    """What a key may be for."""
    assert set(Role) - told("api.md") == set()


def test_commands_and_options(told):
    """Every command of the command line, and every option of each."""
    text, seen = told("guide.md", raw=True), []

    def walk(group, prefix):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{prefix} {name}")
                continue
            row = re.search(rf"^\| `{prefix} {name}` \|.*$", text, re.MULTILINE)
            assert row, name
            options = {word for option in command.params for word in option.opts if word.startswith("-")}
            assert {word for word in options if word not in row[0]} == set(), name
            seen.append(name)

    walk(typer.main.get_command(cli.app), "coverslip")
    assert len(seen) >= 6


def test_readers(told):
    """Every reader with its title and endings."""
    text = told("formats.md", raw=True)
    assert [reader.name for reader in READERS if reader.title not in text] == []
    assert {word for reader in READERS for word in (reader.name, *reader.suffixes)} - told("formats.md") == set()


def test_policy_words(told, tmp_path):
    """Every action and form a rule can have, and every rule of the built-in policies."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name="x"\nversion=1\ndescription=""\n[[rule]]\nid="a"\nreason=""\npaths=[]\naction="none"\n')
    with pytest.raises(PolicyInvalid) as refused:
        policy.load(str(wrong))
    actions = set(refused.value.detail.removeprefix("action is one of ").split(", "))
    assert len(actions) >= 3
    rules = {rule.id for name in policy.BUILTIN for rule in policy.load(name).rules}
    assert (actions | set(Form) | rules | set(policy.BUILTIN)) - told("policies.md") == set()


def test_states(told):
    """Every state a slide can be in."""
    assert set(State) - told("operations.md") == set()


def test_metrics(told):
    """Every figure the front end gives."""
    names = set(re.findall(r'"(coverslip_\w+)"', Path(ops.__file__).read_text()))
    assert len(names) >= 10
    assert {name for name in names if name not in told("operations.md", raw=True)} == set()


def test_findings(told):
    """Every reason the verifier can have not to release a slide."""
    source = "".join(path.read_text() for path in sorted((ROOT / "coverslip" / "verify").glob("*.py")))
    codes = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', source)) | set(re.findall(r'Finding\("\w+", "([\w-]+)"', source))
    assert len(codes) > 20
    assert codes - NO_CODES - told("certificate.md") == set()


def test_certificate_fields(told):
    """Every field at the top of a certificate."""
    fields = re.search(r"return \{\n(.*?)\n    \}", Path(ROOT / "coverslip/certificate.py").read_text(), re.DOTALL)[1]
    assert set(re.findall(r'^ {8}"(\w+)":', fields, re.MULTILINE)) - told("certificate.md") == set()


def test_tables_are_fresh():
    """`make docs` would change nothing."""
    stale = [path.name for path in DOCS.rglob("*.md") if make.made(path.read_text()) != path.read_text()]
    assert stale == []
    used = {name for path in DOCS.rglob("*.md") for _, name, _ in make.BLOCK.findall(path.read_text())}
    assert used == set(make.TABLES)
