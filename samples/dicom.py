"""A tiny DICOM whole slide: one series of JPEG-tiled instances in a folder, with what OpenSlide insists on.

Source: PS3.3 A.32.8 (VL Whole Slide Microscopy Image), PS3.5 A.4 (encapsulated frames), PS3.5 A.5 (deflated).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEGBaseline8Bit

from coverslip.geometry import Size
from samples.codecs import jpeg_ycbcr
from samples.tissue import Pixels, Tissue, shrunk

CLASS: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
ROOT: Final = "1.2.826.0.1.3680043.8.498.2"
TILE: Final = 64


def write(folder: Path, size: Size = Size(192, 128), *, levels: int = 2, patient: str = "", seed: int = 0) -> Path:
    """Write the instances of one series into `folder` and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = Tissue(size, seed, 1.0).crop(0, 0, size.width, size.height)
    for level in range(levels):
        found = instance(pixels if not level else shrunk(pixels, 1 << level), level, size, patient=patient)
        found.save_as(folder / f"level{level}.dcm", enforce_file_format=True)
    return folder


def instance(pixels: Pixels, level: int, full: Size, *, series: str = f"{ROOT}.1.1", patient: str = "") -> Dataset:
    """One level as one instance."""
    height, width, _ = pixels.shape
    frames = [jpeg_ycbcr(tile, 80) for tile in _tiles(pixels)]
    found = Dataset()
    found.file_meta = _meta(f"{ROOT}.3.{level + 1}")
    found.SOPClassUID, found.SOPInstanceUID = UID(CLASS), UID(f"{ROOT}.3.{level + 1}")
    found.StudyInstanceUID, found.SeriesInstanceUID, found.FrameOfReferenceUID = f"{ROOT}.1", series, f"{ROOT}.4"
    found.ImageType = ["ORIGINAL" if not level else "DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    found.Modality, found.PatientID, found.PatientName = "SM", patient, patient
    found.DimensionOrganizationType, found.SamplesPerPixel, found.NumberOfFrames = "TILED_FULL", 3, len(frames)
    found.PhotometricInterpretation, found.PlanarConfiguration = "YBR_FULL_422", 0
    found.Rows = found.Columns = TILE
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 8, 8, 7, 0
    found.TotalPixelMatrixColumns, found.TotalPixelMatrixRows = width, height
    found.TotalPixelMatrixFocalPlanes = found.NumberOfOpticalPaths = 1
    found.ImagedVolumeWidth, found.ImagedVolumeHeight = full.width * 0.0005, full.height * 0.0005
    found.OpticalPathSequence = Sequence([_item(OpticalPathIdentifier="0")])
    measures = _item(PixelSpacing=[0.0005 * full.width / width] * 2, SliceThickness=0.001)
    found.SharedFunctionalGroupsSequence = Sequence([_item(PixelMeasuresSequence=Sequence([measures]))])
    found.PixelData = encapsulate(frames)
    found["PixelData"].VR = "OB"
    found["PixelData"].is_undefined_length = True
    return found


def _meta(uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CLASS), UID(uid)
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    return meta


def _item(**values: object) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def _tiles(pixels: Pixels) -> list[Pixels]:
    """Row by row, the last ones padded."""
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // TILE, padded.shape[1] // TILE
    cut = [padded[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] for y in range(rows) for x in range(columns)]
    return [np.ascontiguousarray(tile) for tile in cut]
