"""What is sent to the service: slides full of identifiers, each for one way a slide can end, under names of people."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from coverslip.archive.states import State
from coverslip.geometry import Size
from samples import aperio, archives, lookalikes, mirax
from samples.dressed import pictures, put
from samples.identifiers import Encoding, Identifier, Kind, Planted
from samples.surgery import Patient
from tests.vault.work import FAULTS

SIZE = Size(600, 400)
SMALL = {"tile": 64, "downsamples": (1, 4)}


@dataclass(frozen=True)
class Sent:
    """One upload, what it says about somebody, and how it must end."""

    kind: str
    name: str
    data: bytes = field(repr=False)
    ends: State
    code: str = ""
    values: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def metadata(self) -> dict[str, str]:
        """What the client says besides."""
        return {
            "filename": self.name,
            "relativePath": f"ZQ-WARD-{self.kind} Kowalczyk Aleksandra/{self.name}",
            "patient": f"ZQ-META-{self.kind}-77120345",
        }

    @property
    def canaries(self) -> dict[str, bytes]:
        """Everything that may not turn up anywhere."""
        said = {
            "name": self.name.split(".")[0], "folder": f"ZQ-WARD-{self.kind}",
            "metadata": f"ZQ-META-{self.kind}-77120345", "person": "Kowalczyk Aleksandra",
        }  # fmt: skip
        return self.values | {f"{self.kind}/{key}": value.encode() for key, value in said.items()}


def uploads(folder: Path) -> list[Sent]:
    """One for every way."""
    whole, again = (aperio.write(_made(folder, name), SIZE, seed=seed, **SMALL) for name, seed in (("a", 1), ("b", 2)))
    half = whole.path.read_bytes()[: whole.path.stat().st_size // 2]
    doubted = lookalikes.write(_made(folder, "c"), "qptiff", seed=3)
    label = put(Patient(again.path.read_bytes()), pictures(Size(150, 100))["label"])
    return [
        *map(_fault, FAULTS_AND_ENDS),
        _slide("clean", whole, State.IN_REVIEW),
        _slide("second", again, State.IN_REVIEW),
        _packed(folder),
        Sent("half", _name("half"), half, State.REJECTED, "damaged-slide", _values("half", whole)),
        Sent(
            "text", _name("text", ".txt"), b"ZQ-TEXT-1 DOE^JANE, S12-34567\n" * 99, State.REJECTED, "unsupported-slide"
        ),
        _slide("doubted", doubted, State.QUARANTINED, "unknown-structure"),
        Sent(
            "label",
            _name("label"),
            bytes(label.data),
            State.QUARANTINED,
            "verification-failed",
            _values("label", again),
        ),
    ]


FAULTS_AND_ENDS = {
    "hang": (State.QUARANTINED, "child-timed-out"),
    "damaged": (State.QUARANTINED, "damaged-slide"),
    "bug": (State.QUARANTINED, "child-crashed"),
    "full": (State.FAILED, "storage-full"),
    "talk": (State.REJECTED, "unsupported-slide"),
    "babble": (State.QUARANTINED, "child-crashed"),
    "crash": (State.QUARANTINED, "child-crashed"),
    "hoard": (State.QUARANTINED, "child-out-of-memory"),
}
"""The one that takes longest first."""
assert set(FAULTS_AND_ENDS) == set(FAULTS)


def cancelled() -> Sent:
    """One more that hangs, to be cancelled while it does."""
    words = b"ZQ-INSIDE-cancelled DOE^JANE S12-34567"
    return Sent(
        "cancelled", _name("cancelled"), b"hang " + words * 20, State.FAILED, "cancelled", {"cancelled/inside": words}
    )


def _fault(name: str) -> Sent:
    words = f"ZQ-INSIDE-{name} DOE^JANE S12-34567".encode()
    ends, code = FAULTS_AND_ENDS[name]
    return Sent(name, _name(name), name.encode() + b" " + words * 20, ends, code, {f"{name}/inside": words})


def _name(kind: str, ending: str = ".svs") -> str:
    return f"ZQ-FILE-{kind}-S26-48213_Kowalczyk{ending}"


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    return folder / name


def _slide(kind: str, planted: Planted, ends: State, code: str = "") -> Sent:
    return Sent(
        kind, f"ZQ-FILE-{kind}-{planted.path.name}", planted.path.read_bytes(), ends, code, _values(kind, planted)
    )


def _packed(folder: Path) -> Sent:
    """A slide of several files in an archive, with a folder and a comment that name somebody."""
    planted = mirax.write(_made(folder, "d"), columns=3, rows=2, levels=2)
    planted.sidecar.unlink()
    words = {"packed/folder": b"ZQ-ARCHIVED Anna Kowalczyk", "packed/comment": b"ZQ-COMMENT by Dr. Wojciechowski"}
    data = archives.pack(
        planted.path.parent, within="ZQ-ARCHIVED Anna Kowalczyk/", comment=words["packed/comment"].decode()
    )
    return Sent("packed", _name("packed", ".zip"), data, State.IN_REVIEW, "", words | _values("packed", planted))


def _values(kind: str, planted: Planted) -> dict[str, bytes]:
    """One value of every sort of place, and what is drawn on the label."""
    found: dict[str, bytes] = {}
    for one in planted.identifiers:
        if _is_unmistakable(one):
            found.setdefault(f"{kind}/{re.sub(r'[0-9]+', 'N', one.place)}", one.needle or one.value.encode())
    return found


def _is_unmistakable(one: Identifier) -> bool:
    """Times of day and dates without one stand in our own records as well."""
    short = one.kind is Kind.DATE and len(one.value) < 15
    return one.searchable and not (short and one.encoding is Encoding.ASCII)
