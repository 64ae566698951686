"""A tiny Philips TIFF: its description is the scanner's XML, with a macro and a label in base64, and pixel spacings.

Source: OpenSlide `openslide-vendor-philips-tiff.c`; attribute names as the scanner writes them.
"""

from __future__ import annotations

import base64
from pathlib import Path

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.pictures import label, macro
from samples.tiffmaker import TiffMaker, long, text
from samples.tiled import page
from samples.tissue import Pixels, Tissue, shrunk

SPACING = 0.00025
"""Millimetres a pixel of the base level."""


def write(path: Path, size: Size = Size(256, 192), *, barcode: str = "none", seed: int = 0) -> Path:
    """Write two levels; `barcode` is what stands in the XML."""
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    small = shrunk(pixels, 2)
    words = _description(barcode, small)
    with TiffMaker(path, big=True) as maker:
        page(maker, pixels, text(270, words), text(305, "Philips DP v1.0"), long(254, 0))
        page(maker, small, text(270, "level=1 mag=20 quality=80"), long(254, 1))
    return path


def _description(barcode: str, small: Pixels) -> str:
    levels = "".join(_object("PixelDataRepresentation", _spacing(SPACING * by)) for by in (1, 2))
    scanned = _object(
        "DPScannedImage",
        _named("PIM_DP_IMAGE_TYPE", "WSI"),
        _spacing(SPACING),
        _named("DICOM_DERIVATION_DESCRIPTION", 'tiff-useBigTIFF=1-levels=40,20-q80-sourceFilename="x"'),
        _array("PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", levels),
    )
    pictures = {"MACROIMAGE": macro([barcode], small, 150, 100), "LABELIMAGE": label([barcode], 60, 80)}
    images = scanned + "".join(
        _object(
            "DPScannedImage",
            _named("PIM_DP_IMAGE_TYPE", kind),
            _named("PIM_DP_IMAGE_DATA", base64.b64encode(jpeg_ycbcr(picture, 80)).decode()),
        )
        for kind, picture in pictures.items()
    )
    inside = (
        _named("DICOM_MANUFACTURER", "PHILIPS"),
        _named("PIM_DP_UFS_BARCODE", base64.b64encode(barcode.encode()).decode()),
        _named("DICOM_ACQUISITION_DATETIME", "20101112131415.000000"),
        _array("PIM_DP_SCANNED_IMAGES", images),
    )
    return '<?xml version="1.0" encoding="UTF-8" ?>' + _object("DPUfsImport", *inside)


def _object(kind: str, *attributes: str) -> str:
    return f'<DataObject ObjectType="{kind}">{"".join(attributes)}</DataObject>'


def _named(name: str, value: str) -> str:
    return f'<Attribute Name="{name}" PMSVR="IString">{value.replace(chr(34), "&quot;")}</Attribute>'


def _array(name: str, objects: str) -> str:
    return f'<Attribute Name="{name}" PMSVR="IDataObjectArray"><Array>{objects}</Array></Attribute>'


def _spacing(millimetres: float) -> str:
    return _named("DICOM_PIXEL_SPACING", f'"{millimetres:.6f}" "{millimetres:.6f}"')
