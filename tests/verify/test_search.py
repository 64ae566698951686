"""Many patterns in one pass find what looking for each of them alone finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip.verify import search
from coverslip.verify.search import Searcher

LETTERS = st.lists(st.sampled_from(b"abAB\0\xe9"), max_size=60).map(bytes)
PATTERNS = st.lists(st.lists(st.sampled_from(b"ab\0\xe9"), min_size=6, max_size=9).map(bytes), max_size=5, unique=True)


def one_by_one(data, patterns, shortest=6):
    folded = data.lower()
    return sorted(
        (at, owner)
        for pattern, owner in patterns.items()
        if len(pattern) >= shortest
        for at in range(len(folded))
        if folded.startswith(pattern, at)
    )


@given(data=LETTERS, patterns=PATTERNS, chunk=st.integers(1, 20), shortest=st.integers(6, 9))
def test_all_are_found_where_they_stand(data, patterns, chunk, shortest):
    """Over every border of a chunk, overlapping, one within the other; none twice, none that is not there."""
    numbered = {pattern: number for number, pattern in enumerate(patterns)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "CHUNK", chunk)
        found = sorted(Searcher(numbered).find(data, shortest))
    assert found == one_by_one(data, numbered, shortest)


@given(data=LETTERS, patterns=PATTERNS, chosen=st.sets(st.integers(0, 4)))
def test_some_are_found_like_all(data, patterns, chosen):
    """Those that were asked for, and none that only begins like one of them."""
    numbered = {pattern: number for number, pattern in enumerate(patterns)}
    some = {pattern: number for pattern, number in numbered.items() if number in chosen}
    assert sorted(Searcher(numbered).only(some).find(data)) == one_by_one(data, some)


def test_a_long_pattern_over_the_border_of_a_real_chunk():
    """At each of its letters."""
    pattern = b"0123456789abcdef"
    searcher = Searcher({pattern: 3})
    for before in range(len(pattern) + 1):
        data = bytes(search.CHUNK - before) + pattern.upper() + bytes(9)
        assert list(searcher.find(data)) == [(search.CHUNK - before, 3)]


def test_nothing_is_found_without_patterns():
    """And in less than the shortest one."""
    assert list(Searcher({}).find(b"abcdefgh")) == []
    assert list(Searcher({b"abcdef": 0}).find(b"abcde")) == []
