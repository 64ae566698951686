"""Slides in several files: which file stands for one, and, where that is DICOM, what its files say.

pydicom takes most of a second to import and most slides are no DICOM, so only the functions that need it import it.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.elements import Element


def representative(path: Path) -> Path:
    """The file OpenSlide opens: `path` itself, or the first instance of the one DICOM series in a folder.

    Raises UnsupportedSlide for a folder without DICOM files, NotOneSlide for one with several series.
    """
    if not path.is_dir():
        return path
    from coverslip.formats import dicom_series

    return dicom_series.representative(path)


def instances_of(entry: Path) -> tuple[Path, ...]:
    """All files of the DICOM series `entry` belongs to."""
    from coverslip.formats import dicom_series

    return dicom_series.instances_of(entry)


def attributes(instances: tuple[Path, ...]) -> tuple[Element, ...]:
    """Every attribute of a DICOM series that is not pixels."""
    from coverslip.formats import dicom_series

    return dicom_series.attributes(instances)
