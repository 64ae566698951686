"""OME-XML as the verifier reads it: what may stand in a clean slide's, and what any block says of its planes.

The verifier's own parser rules and its own words, on purpose shared neither with the reader nor with the policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_BYTES = 16 << 20
MAX_CLEAN = 256 << 10
"""Bytes of a clean slide's block: 2048 planes, each named by itself."""
MAX_TAGS = 100_000
MAX_DEPTH = 64
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_FORBIDDEN = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_BEGIN = re.compile(rb"<(?:\w{1,8}:)?OME[\s>]")
_DECLARED = re.compile(
    rb"""<\?xml version=["']1\.\d["'](?: encoding=["'][\w-]{1,12}["'])?(?: standalone="(?:yes|no)")? ?\?>"""
)
_END = re.compile(rb"</(?:\w{1,8}:)?OME\s*>")
MAX_BLOCKS = 64
"""Blocks looked for in one value; what a further one says is searched for like any text."""
_ADDRESS = re.compile(r"http://www\.openmicroscopy\.org/[Ss]chemas/\w{2,24}/(?:20\d\d-\d\d|2003-FC)", re.ASCII)

LENGTHS = {"m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "µm": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25400.0}
_TIMES = ("s", "ms", "µs", "ns", "min", "h", "d")

_NAMED = re.compile(
    r"DAPI|Hoechst(?: ?\d{5})?|DRAQ\d|Propidium Iodide|PI|7-?AAD|SYTO ?\d{1,2}|SYTOX \w{4,6}|TO-PRO-\d|FITC|TRITC|TAMRA"
    r"|Rhodamine(?: ?(?:B|Red|123|6G))?|Texas ?Red|Cy ?\d(?:\.5)?|(?:Alexa(?: ?Fluor)?|AF|ATTO|DyLight|i?Fluor|BV|Qdot"
    r"|(?:Opal|OPAL)(?: Polaris)?) ?\d{3}|CF ?\d{3}[A-Z]?|BODIPY(?: FL)?|Coumarin"
    r"|Spectrum ?(?:Aqua|Blue|Gold|Green|Orange|Red|FarRed)|[eEmdt]{0,2}[GCYRB]FP|Venus|Citrine|Cerulean"
    r"|m(?:Cherry|Plum|Orange2?|Kate2?|Scarlet|Turquoise2?|NeonGreen|Ruby[23]?)|tdTomato|DsRed2?"
    r"|(?:PE|APC|PerCP)(?:-?Cy ?[57](?:\.5)?)?|(?:Sample )?AF|Auto(?:fl|fluorescence)|(?:Far ?)?Red|Green|Blue|Cyan"
    r"|Magenta|Yellow|Orange|Gr[ae]y|RGB|Bright ?[Ff]ield|BF|DIC|Phase|Transmitted|TL|H&?E|Ha?ematoxylin|Eosin|DAB|AEC"
    r"|Residual|PAS|CD\d{1,3}[a-zA-Z]?|(?:[Pp]an-?)?(?:CK|[Cc]ytokeratin)|CK\d{1,2}|Ki-?67|F[Oo][Xx]P3|PD-?1|PD-?L[12]"
    r"|CTLA-?4|LAG-?3|TIM-?3|(?:a|alpha-?)?SMA|Vimentin|E-?[Cc]adherin|HLA-?(?:A|B|C|DR|ABC)?|ER|PR|HER2|EGFR"
    r"|p(?:16|40|53|63)|S(?:OX|ox)10|S100B?|Melan-?A|MART-?1|GFAP|NeuN|I[Bb][Aa]1|Collagen ?(?:I|II|III|IV)?|Laminin"
    r"|Actin|Phalloidin|Tubulin|WGA|COX-?IV|Ig[GAM]|Granzyme ?B|GZMB|Caspase-?3|MPO|(?:Channel|Ch|C) ?\d{1,2}"
)
_MODE_WORDS = frozenset(
    (
        "WideField", "LaserScanningConfocalMicroscopy", "SpinningDiskConfocal", "SlitScanConfocal",
        "MultiPhotonMicroscopy", "StructuredIllumination", "SingleMoleculeImaging", "TotalInternalReflection",
        "FluorescenceLifetime", "SpectralImaging", "FluorescenceCorrelationSpectroscopy",
        "NearFieldScanningOpticalMicroscopy", "SecondHarmonicGenerationImaging", "PALM", "STORM", "STED", "TIRF", "FSM",
        "LCM", "Other", "BrightField", "SweptFieldConfocal", "SPIM", "Brightfield", "Phase", "DIC", "HoffmanModulation",
        "ObliqueIllumination", "PolarizedLight", "Darkfield", "Fluorescence", "Transmitted", "Epifluorescence",
        "Oblique", "NonLinear",
    )
)  # fmt: skip

Allowed = Callable[[str], bool]


def _whole(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,10}", text) is not None and str(int(text)) == text


def _measured(text: str) -> bool:
    """The shortest spelling of a number: nothing can ride on further digits."""
    return re.fullmatch(r"[0-9.eE+-]{1,26}", text) is not None and _spelt(text)


def _spelt(text: str) -> bool:
    try:
        return repr(float(text)) == text
    except ValueError:
        return False


def _named(text: str) -> bool:
    return _NAMED.fullmatch(text) is not None


def _one_of(*words: str) -> Allowed:
    return lambda text: text in words


def _counted(name: str) -> Allowed:
    return lambda text: re.fullmatch(rf"{name}(?::[0-9]{{1,3}}){{1,2}}", text) is not None


_LENGTH, _MODE = _one_of(*LENGTHS), _one_of(*_MODE_WORDS)
_SIZES = {f"PhysicalSize{axis}": _measured for axis in "XYZ"} | {f"PhysicalSize{axis}Unit": _LENGTH for axis in "XYZ"}
ATTRIBUTES: dict[str, dict[str, Allowed]] = {
    "OME": {"xmlns": _one_of(NAMESPACE)},
    "Instrument": {"ID": _counted("Instrument")},
    "Objective": {"ID": _counted("Objective"), "NominalMagnification": _measured, "LensNA": _measured},
    "Image": {"ID": _counted("Image")},
    "InstrumentRef": {"ID": _counted("Instrument")},
    "ObjectiveSettings": {"ID": _counted("Objective")},
    "Pixels": {
        "ID": _counted("Pixels"), "DimensionOrder": _one_of("XYZCT", "XYZTC", "XYCTZ", "XYCZT", "XYTCZ", "XYTZC"),
        "Type": _one_of("uint8", "uint16"), "SignificantBits": _whole, "Interleaved": _one_of("true", "false"),
        "BigEndian": _one_of("true", "false"), **{f"Size{axis}": _whole for axis in "XYZCT"}, **_SIZES,
        "TimeIncrement": _measured, "TimeIncrementUnit": _one_of(*_TIMES),
    },
    "Channel": {
        "ID": _counted("Channel"), "SamplesPerPixel": _whole, "Color": _whole, "EmissionWavelength": _measured,
        "EmissionWavelengthUnit": _LENGTH, "ExcitationWavelength": _measured, "ExcitationWavelengthUnit": _LENGTH,
        "AcquisitionMode": _MODE, "ContrastMethod": _MODE, "IlluminationType": _MODE,
        "Name": _named, "Fluor": _named,
    },
    "TiffData": dict.fromkeys(("FirstZ", "FirstT", "FirstC", "IFD", "PlaneCount"), _whole),
}  # fmt: skip
"""Every element of a clean slide's block with what its attributes may be. Nothing else, and no text anywhere."""
CHILDREN = {
    "OME": ("Instrument", "Image"), "Instrument": ("Objective",),
    "Image": ("InstrumentRef", "ObjectiveSettings", "Pixels"), "Pixels": ("Channel", "TiffData"),
}  # fmt: skip


@dataclass(slots=True)
class Tag:
    """One XML element."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Tag] = field(default_factory=list)

    def all(self, name: str) -> list[Tag]:
        """Elements of one name right below; a prefix says nothing."""
        return [child for child in self.children if child.name.rpartition(":")[2] == name]

    def get(self, name: str) -> str:
        """An attribute, empty when it is not there."""
        return self.attributes.get(name, "").strip()

    def walk(self) -> Iterator[Tag]:
        """This and everything below."""
        yield self
        for child in self.children:
            yield from child.walk()


class _TooMuch(Exception):
    """More than anybody writes."""


@dataclass(slots=True)
class _Reader:
    open: list[Tag] = field(default_factory=list)
    root: Tag | None = None
    tags: int = 0
    asides: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.tags += 1
        if self.tags > MAX_TAGS or len(self.open) >= MAX_DEPTH:
            raise _TooMuch
        tag = Tag(name, attributes)
        if self.open:
            self.open[-1].children.append(tag)
        else:
            self.root = tag
        self.open.append(tag)

    def end(self, name: str) -> None:
        self.open.pop()

    def text(self, text: str) -> None:
        self.open[-1].text += text

    def aside(self, *words: str) -> None:
        self.asides.append(" ".join(words))


def read(value: bytes) -> tuple[Tag, list[str]] | None:
    """The tree of an OME-XML block and what stands beside it (comments, instructions); None for anything else."""
    if len(value) > MAX_BYTES or _FORBIDDEN.search(value.replace(b"\0", b"")):
        return None
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.CommentHandler = reader.text, reader.aside
    parser.ProcessingInstructionHandler = reader.aside
    try:
        parser.Parse(value.rstrip(b"\0"), True)
    except (expat.ExpatError, LookupError, ValueError, _TooMuch):  # the middle two: encodings nobody knows
        return None
    root = reader.root
    if root is None or root.name.rpartition(":")[2] != "OME" or not any(map(_is_address, root.attributes.items())):
        return None
    return root, reader.asides


def unfolded(value: bytes) -> tuple[list[str], bytes]:
    """Every word of the OME-XML blocks inside a value, and the value without them.

    A block in an orphan or on another page spells the schema's words as the clean slide's does; they are no leak.
    """
    words: list[str] = []
    rest, position, at = [], 0, 0
    for _ in range(MAX_BLOCKS):
        begin = _BEGIN.search(value, at)
        end = _END.search(value, begin.end()) if begin else None
        if begin is None or end is None:
            break
        found = read(value[begin.start() : end.end()])
        at = end.end() if found else begin.end()
        if found is not None:
            words += [word for tag in found[0].walk() for word in _words(tag)] + found[1]
            rest.append(value[position : begin.start()])
            position = end.end()
    return words, _DECLARED.sub(b"\0", b"\0".join([*rest, value[position:]])) if words else value


def _words(tag: Tag) -> Iterator[str]:
    yield tag.name.rpartition(":")[2]
    yield tag.text.strip()
    for name, value in tag.attributes.items():
        yield name.rpartition(":")[2]
        yield value


def _is_address(pair: tuple[str, str]) -> bool:
    return pair[0].startswith("xmlns") and _ADDRESS.fullmatch(pair[1]) is not None


def objections(text: str) -> Iterator[str]:
    """What in this block is not allowed in a clean slide, in words that name the part and not its content."""
    found = read(text.encode()) if len(text) <= MAX_CLEAN else None
    if found is None:
        yield "is neither a known program's line nor a short OME-XML block"
        return
    root, asides = found
    if asides:
        yield "holds a comment or an instruction"
    yield from _wrong(root)
    if DECLARATION + _canonical(root) != text:
        yield "is not written in the one way there is"


def _wrong(tag: Tag) -> Iterator[str]:
    rules = ATTRIBUTES.get(tag.name)
    if rules is None:
        yield "holds an element that is on no list"
        return
    if tag.text:
        yield f"holds text in {tag.name}"
    for name, value in tag.attributes.items():
        if name not in rules:
            yield f"holds an attribute of {tag.name} that is on no list"
        elif not rules[name](value):
            yield f"holds a {name} of {tag.name} that it cannot have"
    for child in tag.children:
        if child.name not in CHILDREN.get(tag.name, ()):
            yield f"holds an element below {tag.name} that does not belong there"
        else:
            yield from _wrong(child)


def _canonical(tag: Tag) -> str:
    """The only spelling: no space that is not needed, one kind of quotes, ASCII."""
    attributes = "".join(f' {name}="{_escaped(value)}"' for name, value in tag.attributes.items())
    inner = "".join(map(_canonical, tag.children))
    return f"<{tag.name}{attributes}>{inner}</{tag.name}>" if inner else f"<{tag.name}{attributes}/>"


def _escaped(value: str) -> str:
    plain = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return plain.encode("ascii", "xmlcharrefreplace").decode()


def said(text: str) -> frozenset[str]:
    """Words of a clean slide's block that were put there on purpose: our own, and its numbers; no name of a channel."""
    found = read(text.encode())
    if found is None or any(objections(text)):
        return frozenset()
    words = {DECLARATION, NAMESPACE}
    for tag in found[0].walk():
        words.add(tag.name)
        for name, value in tag.attributes.items():
            words |= {name} if name in ("Name", "Fluor") else {name, value}
    return frozenset(words)
