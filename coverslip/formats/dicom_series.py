"""A DICOM slide is a series of files in one folder: which file stands for it, which belong to it, and what they say.

Source: DICOM PS3.10 §7 (preamble, file meta), PS3.5 §6.2 (value representations) and §7.5 (sequences).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag

from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.errors import DamagedSlide, LimitExceeded, NotOneSlide, StorageFailed, UnsupportedSlide
from coverslip.tiff.elements import profile_elements

MAX_FILES: Final = 4096
"""Files looked at in one folder."""
INDEX: Final = "DICOMDIR"
"""Lists the files of a medium and repeats what they say (PS3.10 §8.6); no reader needs it."""
MAX_ATTRIBUTES: Final = 100_000
MAX_DEPTH: Final = 16
MAX_VALUE: Final = 1 << 20

_TEXT: Final = frozenset(("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))
_NUMBERS_AS_TEXT: Final = frozenset(("DS", "IS"))
_BINARY_NUMBERS: Final = frozenset(("AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "OD", "OF", "OL", "OV", "OW"))
"""Numbers and numeric arrays: geometry and pixels, no words."""
_PARSE_ERRORS: Final = (
    InvalidDicomError, BytesLengthException, EOFError, struct.error, ValueError, KeyError, TypeError, AttributeError,
    NotImplementedError, OverflowError, RecursionError,
)  # fmt: skip
"""What pydicom is known to raise on bytes nobody sane wrote."""
_SERIES: Final = BaseTag(0x0020000E)


def representative(path: Path) -> Path:
    """The file OpenSlide opens: `path` itself, or the first instance of the one series in a folder.

    Raises UnsupportedSlide for a folder without DICOM files, NotOneSlide for one with several series.
    """
    if not path.is_dir():
        return path
    instances = {file: _series_of(file) for file in _dicom_files(path)}
    if not instances:
        raise UnsupportedSlide("the folder holds no DICOM files", where="folder")
    if len(set(instances.values())) > 1:
        raise NotOneSlide(where="folder: several series")
    return next(iter(instances))


def instances_of(entry: Path) -> tuple[Path, ...]:
    """All files of the series `entry` belongs to, by name, as OpenSlide gathers them: same folder, same series."""
    series = _series_of(entry)
    return tuple(file for file in _dicom_files(entry.parent) if _series_of(file) == series)


def attributes(instances: tuple[Path, ...]) -> tuple[Element, ...]:
    """Every attribute of a series that can hold words, each different value once, however often it stands there."""
    seen: dict[tuple[str, bytes], Element] = {}
    counts: dict[tuple[str, bytes], int] = {}
    for file in instances:
        with _parsing():
            found = list(islice(_of_file(file), MAX_ATTRIBUTES + 1))
        for element in found:
            key = (element.path, element.untrusted_value)
            seen.setdefault(key, element)
            counts[key] = counts.get(key, 0) + 1
            if len(seen) > MAX_ATTRIBUTES:
                raise LimitExceeded(f"more than {MAX_ATTRIBUTES} attributes", where="dicom")
    return tuple(
        Element(element.path, element.kind, element.understood, element.untrusted_value, count=counts[key])
        for key, element in seen.items()
    )


def _dicom_files(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.iterdir() if file.is_file() and not file.is_symlink())
    if len(found) > MAX_FILES:
        raise LimitExceeded(f"more than {MAX_FILES} files in one folder", where="folder")
    return [file for file in found if file.name.upper() != INDEX and _is_dicom(file)]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _series_of(path: Path) -> bytes:
    with _parsing():
        item = _parsed(path, only=["SeriesInstanceUID"]).get_item(_SERIES)
    value = getattr(item, "value", b"")
    return value.rstrip(b"\0 ") if isinstance(value, bytes) else str(value).encode()


@contextmanager
def _parsing() -> Iterator[None]:
    """pydicom's errors as ours, without its words: they quote values. It parses lazily, so every access can raise."""
    try:
        yield
    except _PARSE_ERRORS:
        raise DamagedSlide("a DICOM file cannot be parsed", where="dicom") from None
    except OSError as error:
        if error.errno is not None:
            raise StorageFailed("a DICOM file cannot be read", where="dicom") from None
        raise DamagedSlide("a DICOM file ends early", where="dicom") from None


def _parsed(path: Path, only: list[str] | None = None) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, defer_size=MAX_VALUE, specific_tags=only)


def _of_file(path: Path) -> Iterator[Element]:
    dataset = _parsed(path)
    if dataset.preamble and dataset.preamble.strip(b"\0"):
        yield Element(ElementPath("dicom/preamble"), ElementKind.BYTES, untrusted_value=dataset.preamble)
    yield from _of_dataset(dataset.file_meta, "dicom", 0)
    yield from _of_dataset(dataset, "dicom", 0)


def _of_dataset(dataset: Dataset, parent: str, depth: int) -> Iterator[Element]:
    if depth > MAX_DEPTH:
        raise LimitExceeded("sequences are nested too deep", where=parent)
    for tag in sorted(dataset.keys()):
        keyword = keyword_for_tag(tag)
        path = f"{parent}/{keyword or f'({tag.group:04x},{tag.element:04x})'}"
        item = dataset.get_item(tag)
        kind = item.VR or _dictionary_vr(tag)
        if kind == "SQ":
            for child in dataset[tag].value:
                yield from _of_dataset(child, path, depth + 1)
        elif keyword == "ICCProfile" and isinstance(item.value, bytes):
            yield from profile_elements(path, item.value)  # its words must go, its numbers may stay
        elif kind not in _BINARY_NUMBERS:
            yield from _leaf(path, kind, item.value, understood=bool(keyword))


def _leaf(path: str, vr: str, value: object, *, understood: bool) -> Iterator[Element]:
    raw = value if isinstance(value, bytes) else b"" if value is None else str(value).encode("utf-8", "replace")
    kind = ElementKind.TEXT if vr in _TEXT else ElementKind.NUMBER if vr in _NUMBERS_AS_TEXT else ElementKind.BYTES
    yield Element(ElementPath(path), kind, understood and kind is not ElementKind.BYTES, raw[:MAX_VALUE].rstrip(b"\0 "))


def _dictionary_vr(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
