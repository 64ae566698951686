"""The certificate of one slide: what came in, what went out, every element with its rule, what was checked.

It carries places, rules and keyed digests, never a value that was removed, no time and no machine: the same slide,
policy and key give the same bytes, so two people can compare certificates instead of trusting each other.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from coverslip.keys import digest
from coverslip.policy import Decision, Keep, Plan
from coverslip.slide import Route, SlideFacts
from coverslip.verify import Report, as_dict
from coverslip.versions import version_of

SCHEMA: Final = "coverslip-certificate/1"
TOOLS: Final = (
    "coverslip",
    "openslide-bin",
    "openslide-python",
    "tifffile",
    "imagecodecs",
    "simplejpeg",
    "numpy",
    "pillow",
)


@dataclass(frozen=True, slots=True)
class Source:
    """What came in, known by its keyed digest only."""

    digest: str
    """HMAC-SHA256 of the content's SHA-256 with the collection key."""
    size_bytes: int
    facts: SlideFacts
    route: Route


def certificate(source: Source, plan: Plan, report: Report, *, name: str, key: bytes) -> dict[str, Any]:
    """Everything a reader needs to judge the slide, JSON-ready, in a fixed order."""
    verification = as_dict(report)
    proofs = {proof["path"]: proof["proof"] for proof in verification["leaks"]["secrets"]}
    return {
        "schema": SCHEMA,
        "result": "passed" if report.passed else "failed",
        "route": source.route.value,
        "source": {"digest": f"hmac-sha256:{source.digest}", "bytes": source.size_bytes, **_facts(source.facts)},
        "clean": {"name": name, "sha256": report.clean_sha256, "bytes": report.clean_bytes},
        "policy": {
            "name": plan.policy.name,
            "version": plan.policy.version,
            "sha256": plan.policy.sha256,
            "description": plan.policy.description,
        },
        "counts": plan.counts(),
        "elements": [_element(decision, key, proofs) for decision in plan],
        "verification": verification,
        "tools": {tool: version_of(tool) for tool in TOOLS},
        "says": SAYS,
    }


SAYS: Final = (
    "The clean slide was written new from the kept elements listed here. Removed values were searched for in every "
    "byte that is not a copied scan, as text, UTF-16, base64, hex and inside compressed data; values too short or too "
    "ordinary to search for are proved by the absence of their place. Pixels were not searched for text. Nobody calls "
    "this slide anonymous: the tissue itself, the day of publication or a rare diagnosis can still point to a person."
)


def to_json(content: dict[str, Any]) -> bytes:
    """The certificate as a file: UTF-8, two spaces, final newline."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _element(decision: Decision, key: bytes, proofs: dict[str, str]) -> dict[str, Any]:
    element = decision.element
    entry: dict[str, Any] = {
        "path": element.path,
        "kind": element.kind.value,
        "action": type(decision.action).__name__.lower(),
        "rule": decision.because,
        "reason": decision.reason,
    }
    if element.count > 1:
        entry["places"] = element.count
    if element.untrusted_value and not isinstance(decision.action, Keep):
        entry["digest"] = digest(key, element.untrusted_value, purpose="element")[:32]
        entry["proof"] = proofs.get(element.path, "structure")
    return entry


def _facts(facts: SlideFacts) -> dict[str, Any]:
    return {
        "vendor": facts.vendor,
        "container": facts.container,
        "levels": [[level.size.width, level.size.height] for level in facts.levels],
        "mpp": [facts.mpp.x, facts.mpp.y] if facts.mpp else None,
        "magnification": facts.magnification,
        "planes": asdict(facts.planes) if facts.planes else None,
    }
