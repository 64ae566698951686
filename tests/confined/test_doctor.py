"""`coverslip doctor` says what a real child says, and strict means what it says."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from coverslip import cli
from coverslip.confined import doctor, layers


@pytest.fixture(scope="module")
def walls():
    """As they stand on this machine."""
    return doctor.examine()


def doctored(monkeypatch, walls, *arguments):
    """The command's result where `walls` stand."""
    monkeypatch.setattr(doctor, "examine", lambda: walls)
    return CliRunner().invoke(cli.app, ["doctor", *arguments], catch_exceptions=False)


def test_every_layer_is_named(walls, monkeypatch):
    """In the order they are put up, each with what it keeps the child from."""
    assert [wall.name for wall in walls] == list(layers.STEPS)
    assert {wall.name for wall in walls if wall.required} == frozenset().union(*layers.REQUIRED)
    assert {wall.name: wall.instead for wall in walls if wall.instead} == {
        "landlock": ("own_root",), "own_root": ("landlock",),
    }  # fmt: skip
    told = doctored(monkeypatch, walls).output
    assert all(wall.name in told for wall in walls)


def test_what_any_linux_has_holds(walls):
    """Asked of a child that was really confined."""
    assert {"rlimits", "no_new_privs"} <= {wall.name for wall in walls if wall.holds}


def test_strict_refuses_without_a_required_layer(walls, monkeypatch):
    """Exit code 1, and the layer is named; without --strict it is only told."""
    broken = tuple(dataclasses.replace(wall, holds=wall.name != "seccomp") for wall in walls)
    assert doctored(monkeypatch, broken, "--strict").exit_code == 1
    plain = doctored(monkeypatch, broken, "--json")
    assert plain.exit_code == 0
    told = json.loads(plain.output)
    assert not told["strict_would_work"]
    assert [each["name"] for each in told["layers"] if not each["holds"]] == ["seccomp"]


def test_one_wall_around_files_is_enough_but_one_there_must_be(walls, monkeypatch):
    """Without either, every slide and key lies open to a child, whatever else holds it."""
    for missing, code in (({"landlock"}, 0), ({"own_root"}, 0), ({"landlock", "own_root"}, 1)):
        stand = tuple(dataclasses.replace(wall, holds=wall.name not in missing) for wall in walls)
        assert doctored(monkeypatch, stand, "--strict").exit_code == code
