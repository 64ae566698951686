"""Names and types of the TIFF fields we know (TIFF 6.0, BigTIFF, EXIF 2.32, vendors' private tags)."""

from __future__ import annotations

from typing import Final

TYPE_SIZES: Final = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes per value by field type (TIFF 6.0 §2; 13 IFD; 16–18 BigTIFF)."""

BYTE, ASCII, SHORT, LONG, RATIONAL, SBYTE, UNDEFINED, SRATIONAL, LONG8 = 1, 2, 3, 4, 5, 6, 7, 10, 16

INTEGER_FORMATS: Final = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
"""numpy formats of the integer field types."""

NEW_SUBFILE_TYPE = 254
IMAGE_WIDTH, IMAGE_LENGTH, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, IMAGE_DESCRIPTION, ORIENTATION, PAGE_NAME = 266, 270, 274, 285
STRIP_OFFSETS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, STRIP_BYTE_COUNTS = 273, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, PLANAR_CONFIGURATION, RESOLUTION_UNIT, PREDICTOR = 282, 283, 284, 296, 317
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_BYTE_COUNTS = 322, 323, 324, 325
SUB_IFDS, SAMPLE_FORMAT, JPEG_TABLES = 330, 339, 347
YCBCR_COEFFICIENTS, YCBCR_POSITIONING, REFERENCE_BLACK_WHITE = 529, 531, 532
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
SAMPLE_FORMAT = 339
ICC_PROFILE, YCBCR_SUBSAMPLING, IMAGE_DEPTH = 34675, 530, 32997
IPTC, PHOTOSHOP = 33723, 34377

JPEG_COMPRESSIONS: Final = frozenset((6, 7, 34892))
"""Old-style JPEG, JPEG, and lossy JPEG of DNG."""

SEPARATE: Final = 2
"""PlanarConfiguration: each sample of a pixel has tiles of its own."""

POINTERS: Final = {SUB_IFDS: "SubIFD", EXIF_IFD: "EXIF", GPS_IFD: "GPS", INTEROP_IFD: "Interop"}
"""Tags that point to further directories, and what a path calls them."""

OTHER_POINTERS: Final = {288: 289, 513: 514}
"""Offset tags of bytes that are no stored tile, and the tags with their byte counts: free space, old-style JPEG."""
DATA_POINTERS: Final = {STRIP_OFFSETS: STRIP_BYTE_COUNTS, TILE_OFFSETS: TILE_BYTE_COUNTS} | OTHER_POINTERS
"""Offset tags and the tags with the byte counts that belong to them."""

NAMES: Final = {
    254: "NewSubfileType", 255: "SubfileType", 256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample",
    259: "Compression", 262: "PhotometricInterpretation", 263: "Threshholding", 266: "FillOrder", 269: "DocumentName",
    270: "ImageDescription", 271: "Make", 272: "Model", 273: "StripOffsets", 274: "Orientation",
    277: "SamplesPerPixel", 278: "RowsPerStrip", 279: "StripByteCounts", 280: "MinSampleValue", 281: "MaxSampleValue",
    282: "XResolution", 283: "YResolution", 284: "PlanarConfiguration", 285: "PageName", 286: "XPosition",
    287: "YPosition", 288: "FreeOffsets", 289: "FreeByteCounts", 290: "GrayResponseUnit", 291: "GrayResponseCurve",
    296: "ResolutionUnit", 297: "PageNumber", 301: "TransferFunction", 305: "Software", 306: "DateTime",
    315: "Artist", 316: "HostComputer", 317: "Predictor", 318: "WhitePoint", 319: "PrimaryChromaticities",
    320: "ColorMap", 322: "TileWidth", 323: "TileLength", 324: "TileOffsets", 325: "TileByteCounts", 330: "SubIFDs",
    332: "InkSet", 333: "InkNames", 337: "TargetPrinter", 338: "ExtraSamples", 339: "SampleFormat", 347: "JPEGTables",
    512: "JPEGProc", 513: "JPEGInterchangeFormat", 514: "JPEGInterchangeFormatLength", 529: "YCbCrCoefficients",
    530: "YCbCrSubSampling", 531: "YCbCrPositioning", 532: "ReferenceBlackWhite", 700: "XMP", 32781: "ImageID",
    32932: "WangAnnotation", 32997: "ImageDepth", 32998: "TileDepth", 33432: "Copyright", 33445: "MDFileTag",
    33446: "MDScalePixel", 33447: "MDColorTable", 33448: "MDLabName", 33449: "MDSampleInfo", 33450: "MDPrepDate",
    33451: "MDPrepTime", 33452: "MDFileUnits", 33550: "ModelPixelScale", 33723: "IPTC", 33922: "ModelTiepoint",
    34377: "Photoshop", 34665: "EXIF", 34675: "ICCProfile", 34735: "GeoKeyDirectory", 34736: "GeoDoubleParams",
    34737: "GeoAsciiParams", 34853: "GPS", 36867: "DateTimeOriginal", 36868: "DateTimeDigitized",
    36880: "OffsetTime", 36881: "OffsetTimeOriginal", 36882: "OffsetTimeDigitized", 37500: "MakerNote",
    37510: "UserComment", 37520: "SubsecTime", 37521: "SubsecTimeOriginal", 37522: "SubsecTimeDigitized",
    37724: "ImageSourceData", 40965: "Interop", 42016: "ImageUniqueID", 42032: "CameraOwnerName",
    42033: "BodySerialNumber", 42037: "LensSerialNumber", 42112: "GDALMetadata", 42113: "GDALNoData",
    50740: "DNGPrivateData", 50838: "IJMetadataByteCounts", 50839: "IJMetadata", 51123: "MicroManagerMetadata",
}  # fmt: skip


def name_of(code: int) -> str:
    """The field's name, or its number when nobody gave it one (private tags)."""
    return NAMES.get(code, str(code))
