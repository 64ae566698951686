"""How much the verifier is willing to parse; every figure is checked before anything is allocated."""

MAX_IFDS = 2048
MAX_TAGS = 512
MAX_ALL_TAGS = 1 << 18
"""Of all directories together."""
MAX_VALUE_BYTES = 16 << 20
MAX_ARRAY_BYTES = 256 << 20
"""For the arrays of tile offsets and byte counts only."""
MAX_SIDE = 1 << 21
MAX_PIXELS = 400 * 10**9
MAX_TILE_SIDE = 4096
MAX_PICTURE_PIXELS = 64 * 10**6
"""Pictures beside the pyramid that get decoded."""
MAX_SEGMENTS = 4096
"""Marker segments in one codestream's headers."""
MAX_FINDINGS_PER_CODE = 20
"""A slide that is wrong in every tile says so twenty times, then with a count."""
