"""The end of lossless tiles is found exactly, so nothing can stand behind them."""

import zlib
from contextlib import suppress

import imagecodecs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip.codestreams import raw
from coverslip.errors import CoverslipError, DamagedSlide
from coverslip.verify import lzw_walk

CONTENT = st.one_of(
    st.binary(min_size=1, max_size=6000),
    st.tuples(st.binary(min_size=1, max_size=3), st.integers(1, 20000)).map(lambda pair: pair[0] * pair[1]),
)


@given(content=CONTENT, hidden=st.binary(max_size=20))
def test_lzw_end(content, hidden):
    """Exactly the bytes up to the end code, through every code width and every table reset."""
    stream = imagecodecs.lzw_encode(content)
    end = raw.lzw_end(b"??" + stream + hidden, 2, 2 + len(stream) + len(hidden), len(content)) - 2
    assert stream[end:] in (b"", b"\0")  # this encoder sometimes flushes one empty byte more
    assert imagecodecs.lzw_decode(stream[:end]) == content


@given(content=CONTENT, more=st.binary(min_size=1, max_size=20))
def test_lzw_holds_its_pixels_and_no_more(content, more):
    """A stream of a byte more or less than the tile has room for is refused: readers stop where the tile is full."""
    for wrong in (content + more, content[:-1]):
        stream = imagecodecs.lzw_encode(wrong) if wrong else b"\x80\x40\x40"
        with pytest.raises(DamagedSlide):
            raw.lzw_end(stream, 0, len(stream), len(content))


@given(content=CONTENT)
def test_both_sides_count_alike(content):
    """What comes out of an LZW stream, without decoding it."""
    stream = imagecodecs.lzw_encode(content)
    assert lzw_walk.lzw_end(stream, "tile") == (raw.lzw_end(stream, 0, len(stream), len(content)), len(content))


@given(content=CONTENT, hidden=st.binary(max_size=20))
def test_deflate_end(content, hidden):
    """Exactly the zlib stream; its checksum belongs to it."""
    stream = zlib.compress(content)
    assert raw.deflate_end(stream + hidden, 0, len(stream) + len(hidden), len(content)) == len(stream)


def test_a_bomb_costs_no_more_than_its_tile():
    """A stream that inflates to more than the tile is refused before it is inflated."""
    bomb = zlib.compress(bytes(200 << 20))
    with pytest.raises(DamagedSlide):
        raw.deflate_end(bomb, 0, len(bomb), 1 << 16)


@given(data=st.binary(max_size=300))
def test_any_bytes_end_in_one_of_our_errors(data):
    """Garbage never raises anything else."""
    for find in (lambda: raw.lzw_end(data, 0, len(data), 100), lambda: raw.deflate_end(data, 0, len(data), 100)):
        with suppress(CoverslipError):
            assert 0 <= find() <= len(data)
