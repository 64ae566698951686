"""Which ends read like words, said once more in the plainest way: both ways of asking agree with it on any bytes."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coverslip.codestreams import tails
from coverslip.verify import endings

WORDS = re.compile(rb"[\x00\t\n\r\x20-\x7e]{16}")
PRINTABLE = re.compile(rb"[\x00\t\n\r\x20-\x7e]{8}")
LETTER = re.compile(rb"[0-9A-Za-z]")
NEARLY = st.integers(6, 18).map(lambda length: b"A" * length + b"\xfe")
"""Words that are just long enough, or just not."""
PIECES = st.one_of(st.binary(max_size=40), st.text("AB 1\0é\n", max_size=60).map(str.encode), NEARLY)
SCANS = st.lists(st.lists(PIECES, max_size=12).map(b"".join), min_size=1, max_size=6)
"""Noise and words, one behind the other."""


def has_long_words(scan: bytes) -> bool:
    """Sixteen in a row among the last 256."""
    return WORDS.search(scan[-256:]) is not None


def ends_in_a_word(scan: bytes) -> bool:
    """The last eight, six of them letters or digits."""
    last = scan[-8:]
    return PRINTABLE.fullmatch(last) is not None and len(LETTER.findall(last)) >= 6


def laid_out(scans: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One behind the other, with where each begins and ends."""
    ends = np.cumsum([len(scan) for scan in scans])
    starts = ends - [len(scan) for scan in scans]
    return np.frombuffer(b"".join(scans) + b"\0" * 8, np.uint8), starts.astype(np.int64), ends.astype(np.int64)


@given(SCANS)
def test_the_writer_s_way(scans):
    """Stretches of one buffer; words do not reach from one into the next."""
    data, starts, ends = laid_out(scans)
    assert tails.long_words(data, starts, ends).tolist() == [has_long_words(scan) for scan in scans]
    assert tails.wordy(data, starts, ends).tolist() == [has_long_words(scan) or ends_in_a_word(scan) for scan in scans]


@given(SCANS)
def test_the_verifier_s_way(scans):
    """Endings of one length; what is shorter is filled up with what nobody reads."""
    ends = endings.endings(scans)
    assert endings.reads_like_words(ends).tolist() == [has_long_words(scan) or ends_in_a_word(scan) for scan in scans]
    assert endings.has_long_word(ends) == any(map(has_long_words, scans))
