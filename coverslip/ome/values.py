"""What of an OME-XML block may be written again: numbers and words of closed lists, each printed in one way only.

Source: OME Data Model 2016-06. A number is parsed and printed anew, so that nothing rides on its digits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import Final

Parser = Callable[[str], str | None]
"""From a value as it stands to its one spelling; None when it is not what it ought to be."""

ORDERS: Final = ("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC")
TYPES: Final = (
    "int8",
    "int16",
    "int32",
    "uint8",
    "uint16",
    "uint32",
    "float",
    "bit",
    "double",
    "complex",
    "double-complex",
)

LENGTHS: Final = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "µm": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25_400.0,
}  # fmt: skip
"""Micrometres by the schema's spelling of a unit; what is no length by itself (`pixel`, `reference frame`) is out."""
TIMES: Final = ("s", "ms", "µs", "ns", "min", "h", "d")

MODES: Final = (
    "WideField", "LaserScanningConfocalMicroscopy", "SpinningDiskConfocal", "SlitScanConfocal",
    "MultiPhotonMicroscopy", "StructuredIllumination", "SingleMoleculeImaging", "TotalInternalReflection",
    "FluorescenceLifetime", "SpectralImaging", "FluorescenceCorrelationSpectroscopy",
    "NearFieldScanningOpticalMicroscopy", "SecondHarmonicGenerationImaging", "PALM", "STORM", "STED", "TIRF", "FSM",
    "LCM", "Other", "BrightField", "SweptFieldConfocal", "SPIM",
)  # fmt: skip
CONTRASTS: Final = (
    "Brightfield", "Phase", "DIC", "HoffmanModulation", "ObliqueIllumination", "PolarizedLight", "Darkfield",
    "Fluorescence", "Other",
)  # fmt: skip
ILLUMINATIONS: Final = ("Transmitted", "Epifluorescence", "Oblique", "NonLinear", "Other")

_FLOAT: Final = re.compile(r"[+-]?(\d{1,12}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)


def whole(low: int, high: int) -> Parser:
    """A whole number within bounds."""

    def parse(text: str) -> str | None:
        found = int(text) if re.fullmatch(r"[+-]?\d{1,12}", text, re.ASCII) else None
        return str(found) if found is not None and low <= found <= high else None

    return parse


def measure(low: float, high: float) -> Parser:
    """A measured number within bounds, printed as the shortest decimal that reads back the same."""

    def parse(text: str) -> str | None:
        found = number(text)
        return repr(found) if found is not None and low <= found <= high else None

    return parse


def number(text: str) -> float | None:
    """A decimal number; None for anything else."""
    found = float(text) if _FLOAT.fullmatch(text) else math.nan
    return found if math.isfinite(found) else None


def word(words: Collection[str]) -> Parser:
    """One of a closed list."""
    return lambda text: text if text in words else None


def unit(units: Collection[str]) -> Parser:
    """A unit of the schema; it spells its micro sign with U+00B5, some writers with the Greek letter."""

    def parse(text: str) -> str | None:
        spelt = text.replace("μ", "µ")
        return spelt if spelt in units else None

    return parse


def _boolean(text: str) -> str | None:
    return {"true": "true", "1": "true", "false": "false", "0": "false"}.get(text)


_SIZE: Final = measure(1e-9, 1e9)
_LENGTH: Final = unit(LENGTHS)
_LAYERS: Final = whole(1, 1 << 16)

PIXELS: Final[dict[str, Parser]] = {
    "DimensionOrder": word(ORDERS), "Type": word(TYPES), "SignificantBits": whole(1, 64),
    "Interleaved": _boolean, "BigEndian": _boolean, "SizeX": whole(1, 1 << 31), "SizeY": whole(1, 1 << 31),
    "SizeZ": _LAYERS, "SizeC": _LAYERS, "SizeT": _LAYERS,
    "PhysicalSizeX": _SIZE, "PhysicalSizeXUnit": _LENGTH, "PhysicalSizeY": _SIZE, "PhysicalSizeYUnit": _LENGTH,
    "PhysicalSizeZ": _SIZE, "PhysicalSizeZUnit": _LENGTH,
    "TimeIncrement": measure(0, 1e9), "TimeIncrementUnit": unit(TIMES),
}  # fmt: skip
CHANNEL: Final[dict[str, Parser]] = {
    "SamplesPerPixel": whole(1, 4), "Color": whole(-(1 << 31), (1 << 31) - 1),
    "EmissionWavelength": measure(1e-3, 1e6), "EmissionWavelengthUnit": _LENGTH,
    "ExcitationWavelength": measure(1e-3, 1e6), "ExcitationWavelengthUnit": _LENGTH,
    "AcquisitionMode": word(MODES), "ContrastMethod": word(CONTRASTS), "IlluminationType": word(ILLUMINATIONS),
}  # fmt: skip
OBJECTIVE: Final[dict[str, Parser]] = {"NominalMagnification": measure(0.01, 10_000), "LensNA": measure(0.001, 10)}
DATA: Final[dict[str, Parser]] = {
    name: whole(0, 1 << 16) for name in ("IFD", "FirstZ", "FirstC", "FirstT", "PlaneCount", "NumPlanes")
}

NAMES: Final = ("Name", "Fluor")
"""Attributes of a channel that hold words: what stays of them is the policy's vocabulary."""
DEFAULT_UNITS: Final = {
    **dict.fromkeys(("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"), "µm"),
    **dict.fromkeys(("EmissionWavelength", "ExcitationWavelength"), "nm"),
    "TimeIncrement": "s",
}
"""What a number is counted in where the block does not say (2016-06; before 2015 there was nothing else)."""

CANONICAL_ID: Final = re.compile(r"[A-Z][A-Za-z]{2,23}(:\d{1,4}){1,3}", re.ASCII)
"""An identifier that only counts, `Channel:0:1`: it names nothing outside of the block."""
