"""Policies as TOML: built-in ones by name, others by path."""

from __future__ import annotations

import hashlib
import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path

from msgspec import Struct, ValidationError, convert

from coverslip.errors import PolicyInvalid
from coverslip.policy.model import Action, Form, Keep, Policy, Remove, Replace, Rule

BUILTIN = ("strict", "research")
MAX_ANCESTORS = 8


class _RuleText(Struct, frozen=True, forbid_unknown_fields=True):
    """A rule as written in a policy file."""

    id: str
    reason: str
    paths: list[str]
    action: str
    form: Form = Form.STRUCTURE
    vocabulary: list[str] = []


class _PolicyText(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy file."""

    name: str
    version: int
    description: str
    extends: str | None = None
    rule: list[_RuleText] = []


def load(name_or_path: str) -> Policy:
    """A built-in policy by name, or the policy in a TOML file. Raises PolicyInvalid with what to mend."""
    return _built_in(name_or_path) if name_or_path in BUILTIN else _load(name_or_path, MAX_ANCESTORS)


@cache
def _built_in(name: str) -> Policy:
    """Read once a process: it comes with the program and changes with it only."""
    return _load(name, MAX_ANCESTORS)


def files_of(name_or_path: str) -> tuple[Path, ...]:
    """The files a policy is read from, those it extends included; built-in ones are none. Raises as `load`."""
    found: list[Path] = []
    name: str | None = name_or_path
    while name and name not in BUILTIN and len(found) < MAX_ANCESTORS:
        found.append(Path(name))
        name = _parse(_read(name)).extends
    return tuple(found)


def _load(name_or_path: str, ancestors: int) -> Policy:
    if not ancestors:
        raise PolicyInvalid("policies extend each other in a circle, or too deep", where="extends")
    data = _read(name_or_path)
    text = _parse(data)
    base = _load(text.extends, ancestors - 1) if text.extends else None
    rules = tuple(_rule(rule) for rule in text.rule)
    digest = hashlib.sha256(data + (base.sha256.encode() if base else b"")).hexdigest()
    return Policy(text.name, text.version, text.description, rules + (base.rules if base else ()), digest)


def _read(name_or_path: str) -> bytes:
    if name_or_path in BUILTIN:
        return files("coverslip.policy").joinpath("builtin", f"{name_or_path}.toml").read_bytes()
    path = Path(name_or_path)
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        names = ", ".join(BUILTIN)
        raise PolicyInvalid(f"there is no built-in policy and no file of that name; built in: {names}") from None
    except OSError as error:
        raise PolicyInvalid("the file cannot be read") from error


def _parse(data: bytes) -> _PolicyText:
    try:
        return convert(tomllib.loads(data.decode("utf-8")), _PolicyText)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyInvalid(f"not a TOML file: {error}") from error
    except ValidationError as error:
        what, where = _said(str(error))
        raise PolicyInvalid(what, where=where) from error


def _said(complaint: str) -> tuple[str, str]:
    """What is wrong, and where; a field that is missing or too much is named in the words, not in the place."""
    what, _, place = complaint.partition(" - at ")
    field = re.search(r"field `(.+)`$", what)
    parts = (place.strip("`").removeprefix("$").removeprefix("."), field[1] if field else "")
    return what, ".".join(filter(None, parts))


def _rule(text: _RuleText) -> Rule:
    for word in text.vocabulary:
        try:
            re.compile(word)
        except re.error as error:
            raise PolicyInvalid(f"a vocabulary entry is not a regular expression: {error}", where=text.id) from error
    if text.form is Form.VOCABULARY and not text.vocabulary:
        raise PolicyInvalid("form is vocabulary, but no vocabulary is given", where=text.id)
    return Rule(text.id, text.reason, tuple(text.paths), _action(text), text.form, tuple(text.vocabulary))


def _action(text: _RuleText) -> Action:
    match text.action:
        case "keep":
            return Keep()
        case "remove":
            return Remove()
        case "regenerate":
            return Replace(by="regenerated")
    raise PolicyInvalid("action is one of keep, remove, regenerate", where=text.id)
