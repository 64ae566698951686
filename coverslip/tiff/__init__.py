"""TIFF and BigTIFF as bytes: directories, fields, tiles, within limits."""
