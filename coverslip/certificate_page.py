"""The certificate as a page a person can read and print; self-contained, no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6470;--line:#d9dee4;--paper:#fff;--good:#1a6b3c;--bad:#a3261d}
@media(prefers-color-scheme:dark){
:root{--ink:#e6e9ed;--soft:#9aa4af;--line:#343b43;--paper:#15181c;--good:#6fcf97;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);
margin:0 auto;max-width:960px;padding:32px 16px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}p{margin:4px 0 12px}
.soft{color:var(--soft)}.passed{color:var(--good);font-weight:600}.failed{color:var(--bad);font-weight:600}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:4px 12px 4px 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft)}
td{overflow-wrap:anywhere}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.frame{overflow-x:auto}details{margin:8px 0}summary{cursor:pointer;padding:4px 0}
@media print{details::details-content{content-visibility:visible;block-size:auto}body{max-width:none}}
"""


def to_html(content: dict[str, Any]) -> str:
    """One HTML document from a certificate's content."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Certificate {escape(content['clean']['name'])}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n<main>\n{body(content)}\n</main>\n</body></html>\n"
    )


def body(content: dict[str, Any]) -> str:
    """The certificate's sections as HTML without a style of their own, for pages that have one."""
    sections = (_summary, _clean, _checks, _findings, _elements, _how_to_check)
    return "\n".join(section(content) for section in sections)


def _verdict(passed: bool, good: str = "passed", bad: str = "failed") -> str:
    return f"<span class='{'passed' if passed else 'failed'}'>{good if passed else bad}</span>"


def _summary(content: dict[str, Any]) -> str:
    result, counts, policy = content["result"], content["counts"], content["policy"]
    return (
        f"<h1>Certificate of de-identification</h1><p class='soft'>{escape(content['clean']['name'])}</p>"
        f"<p>{_verdict(result == 'passed', 'All checks passed', 'Not released: checks failed')}"
        f" · {counts['removed']} elements removed, {counts['replaced']} replaced, {counts['kept']} kept"
        f" · route: {escape(content['route'])}</p>"
        f"<p>Policy <b>{escape(policy['name'])}</b> version {policy['version']}: {escape(policy['description'])}"
        f"<br><code>{policy['sha256']}</code></p>"
    )


def _clean(content: dict[str, Any]) -> str:
    source, clean, ledger = content["source"], content["clean"], content["verification"]["ledger"]
    after = content["verification"]["utility"]["after"]
    return "<h2>What came in, what went out</h2>" + _table(
        "What came in, what went out",
        ("fact", "source", "clean slide"),
        [
            ("identity", f"keyed digest {_code(source['digest'])}", f"SHA-256 {_code(clean['sha256'])}"),
            ("bytes", f"{source['bytes']:,}", f"{clean['bytes']:,}; without an owner: {ledger['unowned']}"),
            ("vendor", escape(source["vendor"]), escape(after["vendor"] or "none")),
            ("levels", _sizes(source["levels"]), _sizes(after["levels"])),
            ("resolution", _resolution(source["mpp"]), _resolution(after["mpp"])),
            ("magnification", _magnification(source["magnification"]), _magnification(after["magnification"])),
            *([("planes", _planes(source["planes"]), _planes(after["planes"]))] if source["planes"] else ()),
        ],
    )


def _sizes(levels: list[list[int]]) -> str:
    return ", ".join(f"{width} × {height}" for width, height in levels)


def _resolution(mpp: list[float] | None) -> str:
    return " × ".join(f"{value:.6g}" for value in mpp) + " µm per pixel" if mpp else "not stated"


def _magnification(power: float | None) -> str:
    return f"{power:g}×" if power else "not stated"


def _planes(planes: dict[str, Any] | None) -> str:
    if planes is None:
        return "not stated"
    counted = (f"{planes[name]} {word}" for name, word in (("z", "focal"), ("channels", "channels"), ("t", "moments")))
    return ", ".join(counted)


def _checks(content: dict[str, Any]) -> str:
    rows = [
        (escape(check["name"]), _verdict(check["passed"]), escape(_measured(check["measured"])))
        for check in content["verification"]["checks"]
    ]
    scans = content["verification"]["scans"]
    root = f"<p>Merkle root over every stored tile: {_code(scans['merkle_root'])}</p>"
    return "<h2>What was checked</h2>" + _table("What was checked", ("check", "result", "measured"), rows) + root


def _measured(numbers: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in numbers.items())


def _findings(content: dict[str, Any]) -> str:
    found = content["verification"]["findings"]
    if not found:
        return ""
    rows = [tuple(escape(item[part]) for part in ("check", "where", "detail")) for item in found]
    return "<h2>Findings</h2>" + _table("Findings", ("check", "where", "what"), rows)


def _elements(content: dict[str, Any]) -> str:
    sections = []
    for action, title in (("remove", "Removed"), ("replace", "Replaced"), ("keep", "Kept")):
        chosen = [element for element in content["elements"] if element["action"] == action]
        rows = [_element_row(element) for element in chosen]
        table = _table(title, ("place", "rule", "reason", "keyed digest, proof"), rows)
        opened = " open" if action == "remove" else ""
        sections.append(f"<details{opened}><summary>{title}: {len(chosen)}</summary>{table}</details>")
    return "<h2>Every element</h2>" + "".join(sections)


def _element_row(element: dict[str, Any]) -> tuple[str, ...]:
    places = f" <span class='soft'>in {element['places']} places</span>" if "places" in element else ""
    proof = f"{_code(element['digest'][:16])} {element['proof']}" if "digest" in element else ""
    return (f"{_code(element['path'])}{places}", escape(element["rule"]), escape(element["reason"]), proof)


def _how_to_check(content: dict[str, Any]) -> str:
    name = escape(content["clean"]["name"])
    tools = ", ".join(f"{escape(tool)} {escape(number)}" for tool, number in content["tools"].items())
    return (
        "<h2>How to check this without us</h2>"
        f"<p><code>sha256sum {name}</code> must print the SHA-256 above. <code>tiffdump {name}</code> or "
        f"<code>tifffile {name}</code> lists every field that is left. <code>openslide-show-properties {name}</code> "
        "shows what a viewer sees. With the source at hand, "
        f"<code>coverslip verify {name} --source SOURCE</code> repeats every check.</p>"
        f"<h2>What this says and what not</h2><p>{escape(content['says'])}</p><p class='soft'>{tools}</p>"
    )


def _table(name: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already: whoever makes them escapes. A table wider than the window is scrolled with arrow keys."""
    top = "".join(f"<th scope='col'>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    frame = f"<div class='frame' role='region' tabindex='0' aria-label='{escape(name)}'>"
    return f"{frame}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"
