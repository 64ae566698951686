"""What the verifier found: findings, measured numbers and digests, never a value that was removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from coverslip.geometry import Mpp, Size

Number = int | float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason not to release the slide."""

    check: str
    """The check that found it: `ledger`, `leaks`, `structure`, `scans`, `labels`, `scene`, `utility`."""
    code: str
    """Stable word, e.g. `unowned-bytes`."""
    where: str
    """Element path in the clean slide."""
    detail: str
    """In our own words; never a value from a file."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check, whether it passed, and what it measured."""

    name: str
    passed: bool
    measured: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Who owns the bytes of the clean slide."""

    total: int
    """Bytes of the file."""
    owned: Mapping[str, int]
    """Bytes by kind of structure."""
    unowned: int
    """Bytes no structure owns; 0 in a slide that passes."""


@dataclass(frozen=True, slots=True)
class LeakProof:
    """How one secret is known to be gone."""

    path: str
    proof: str
    """`searched`: looked for in every form; `structure`: too short or too ordinary to search, its place is gone."""
    forms: int
    """How many distinct byte patterns were searched."""
    hits: int


@dataclass(frozen=True, slots=True)
class LeakSummary:
    """How every secret is known to be gone."""

    secrets: tuple[LeakProof, ...]
    searched_bytes: int
    """Bytes searched, unpacked streams included."""

    @property
    def searched(self) -> int:
        """Secrets proved by search."""
        return sum(proof.proof == "searched" for proof in self.secrets)

    @property
    def by_structure(self) -> int:
        """Secrets proved by the absence of their place."""
        return len(self.secrets) - self.searched

    @property
    def hits(self) -> int:
        """Places where a secret was found."""
        return sum(proof.hits for proof in self.secrets)


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What became of the stored tiles."""

    method: str
    """`bit-identical`, `decoded` (converted route) or `none` (no source at hand)."""
    tiles: int
    """Stored tiles of all levels of the clean slide."""
    compared: int
    """Tiles (or, decoded, sampled regions) compared with the source."""
    identical: int
    """Of those, how many agree: bit for bit, or within the tolerance when decoded."""
    merkle_root: str
    """Over the roots of the levels, hex."""
    level_roots: tuple[str, ...]
    digests: bytes = field(repr=False)
    """SHA-256 of every stored tile, 32 bytes each, level by level in tile order."""

    def decoded(self, compared: int, agreeing: int) -> ScanSummary:
        """The same tiles, compared by decoding a sample of regions."""
        return replace(self, method="decoded", compared=compared, identical=agreeing)


@dataclass(frozen=True, slots=True)
class PlanesReading:
    """What an OME-XML block says of a slide's planes."""

    counts: tuple[int, int, int]
    """Focal planes, channels (an RGB picture is one), moments."""
    samples: int
    type: str
    significant_bits: int
    """0 when nothing is said."""
    lengths: tuple[float | None, ...]
    """Micrometres per pixel along x and y, and between focal planes."""
    levels: tuple[Size, ...]
    """Of each plane."""
    colours: tuple[str, ...]
    emissions: tuple[float | None, ...]
    """Micrometres."""
    excitations: tuple[float | None, ...]
    magnification: float | None


@dataclass(frozen=True, slots=True)
class SlideReading:
    """What other readers see in a slide."""

    vendor: str
    mpp: Mpp | None
    magnification: float | None
    mpp_text: str
    """The resolution exactly as it is written, or empty."""
    magnification_text: str
    levels: tuple[Size, ...]
    tiles: tuple[Size, ...]
    """Stored tile size per level."""
    downsamples: tuple[float, ...]
    icc_transform: str
    """SHA-256 of the colour transform's bytes, hex; empty without a profile."""
    background: str
    planes: PlanesReading | None = None
    """None where the slide does not say what its pages are."""


@dataclass(frozen=True, slots=True)
class UtilitySummary:
    """The slide as other readers see it, before and after."""

    before: SlideReading | None
    after: SlideReading


@dataclass(frozen=True, slots=True)
class Report:
    """The verifier's whole answer."""

    route: str
    findings: tuple[Finding, ...]
    checks: tuple[CheckResult, ...]
    ledger: Ledger
    leaks: LeakSummary
    scans: ScanSummary
    utility: UtilitySummary
    clean_sha256: str
    clean_bytes: int

    @property
    def passed(self) -> bool:
        """True when nothing speaks against releasing the slide."""
        return not self.findings
