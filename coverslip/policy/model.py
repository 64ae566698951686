"""What an owner decides: rules, actions, and the plan that comes of applying them to one slide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property

from coverslip.decimals import measured
from coverslip.elements import Element, ElementKind, ElementPath, Inventory


class Form(StrEnum):
    """What a kept value must be; a value of another form is removed after all."""

    STRUCTURE = "structure"
    """A numeric field of the container, already parsed."""
    NUMBER = "number"
    """A measured number: of nine digits at most, and within what its place can mean."""
    VOCABULARY = "vocabulary"
    """One of the words or patterns the rule lists."""
    REBUILT = "rebuilt"
    """Binary content that we serialise anew from its numbers: JPEG tables, ICC transforms."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The element stays, re-serialised from its parsed value. PS3.15 action K."""


@dataclass(frozen=True, slots=True)
class Remove:
    """The element does not appear. PS3.15 action X."""


@dataclass(frozen=True, slots=True)
class Replace:
    """The element appears with content of ours. PS3.15 actions D and C."""

    by: str
    """What takes its place: `regenerated`."""


Action = Keep | Remove | Replace


@dataclass(frozen=True, slots=True)
class Rule:
    """Which elements stay or change, and why."""

    id: str
    reason: str
    paths: tuple[str, ...]
    """Path patterns: `*` stands for anything but a slash, `**` for anything."""
    action: Action
    form: Form = Form.STRUCTURE
    vocabulary: tuple[str, ...] = ()
    """Regular expressions, each matched against the whole value."""

    def admits(self, element: Element) -> bool:
        """Whether the element's value has the form the rule asks for."""
        match self.form:
            case Form.STRUCTURE | Form.REBUILT:
                return element.understood
            case Form.NUMBER:
                return element.understood and measured(element.untrusted_text) is not None
            case Form.VOCABULARY:
                return any(re.fullmatch(word, element.untrusted_text) for word in self.vocabulary)


@cache
def _compiled(rules: tuple[tuple[str, ...], ...]) -> re.Pattern[str]:
    """One expression for the path patterns of all rules: the first group that matches is the first rule that covers."""
    groups = ("|".join(map(_expression, paths)) if paths else "(?!)" for paths in rules)
    return re.compile("|".join(f"({group})" for group in groups), re.DOTALL)


def _expression(pattern: str) -> str:
    parts = (re.escape(part) for part in re.split(r"(\*\*|\*)", pattern))
    return "".join({r"\*\*": ".*", r"\*": "[^/]*"}.get(part, part) for part in parts)


@dataclass(frozen=True, slots=True)
class Policy:
    """A named, versioned list of rules; what no rule keeps is removed."""

    name: str
    version: int
    description: str
    rules: tuple[Rule, ...]
    sha256: str
    """Digest of the policy file, so that a certificate says exactly which rules applied."""

    def decide(self, element: Element) -> Decision:
        """What happens to one element and the rule that says so: the first rule that covers it."""
        rule = self._covering(element)
        if rule is None:
            reason = "no rule keeps it" if element.understood else "not understood"
            return Decision(element, Remove(), "default", reason)
        if isinstance(rule.action, Keep) and not rule.admits(element):
            return Decision(element, Remove(), rule.id, f"not a {rule.form.value} value")
        return Decision(element, rule.action, rule.id, rule.reason)

    def _covering(self, element: Element) -> Rule | None:
        """The first rule that speaks of this element."""
        found = _compiled(tuple(rule.paths for rule in self.rules)).fullmatch(re.sub(r"#\d+", "", element.path))
        return self.rules[found.lastindex - 1] if found and found.lastindex else None

    def plan(self, inventory: Inventory) -> Plan:
        """Every element of one slide with its action."""
        return Plan(self, _with_images(tuple(self.decide(element) for element in inventory)))


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one element, and why."""

    element: Element
    action: Action
    because: str
    """Id of the rule, or `default`."""
    reason: str


def _with_images(decisions: tuple[Decision, ...]) -> tuple[Decision, ...]:
    """A page's fields share the fate of its picture: they go with a removed one and are made anew with a new one."""
    pictures = [decision for decision in decisions if decision.element.role is not None]
    fates = {decision.element.path.rpartition("/")[0]: decision for decision in pictures}

    def settle(decision: Decision) -> Decision:
        fate = fates.get(decision.element.path.partition("/")[0])
        if fate is None or decision is fate or not isinstance(decision.action, Keep):
            return decision
        if isinstance(fate.action, Remove):
            return Decision(decision.element, Remove(), fate.because, "goes with its picture")
        if isinstance(fate.action, Replace) and decision.element.kind is ElementKind.STRUCTURE:
            return Decision(decision.element, fate.action, fate.because, fate.reason)
        return decision

    return tuple(settle(decision) for decision in decisions)


@dataclass(frozen=True)
class Plan:
    """Policy applied to one inventory."""

    policy: Policy
    decisions: tuple[Decision, ...] = field(repr=False)

    def __iter__(self) -> Iterator[Decision]:
        """Decisions in file order."""
        return iter(self.decisions)

    @cached_property
    def _actions(self) -> dict[ElementPath, Action]:
        return {decision.element.path: decision.action for decision in self.decisions}

    def action(self, path: str) -> Action:
        """What happens at a path; `Remove` for a path nobody planned."""
        return self._actions.get(ElementPath(path), Remove())

    def keeps(self, path: str) -> bool:
        """Whether the element at this path stays as it is."""
        return isinstance(self.action(path), Keep)

    def counts(self) -> dict[str, int]:
        """How many elements are kept, removed and replaced."""
        names = [type(decision.action).__name__.lower() for decision in self.decisions]
        return {"kept": names.count("keep"), "removed": names.count("remove"), "replaced": names.count("replace")}
