"""What is known of a page is shared by the threads that walk its tiles: whoever comes in between changes no verdict."""

from contextlib import ExitStack

import numpy as np
import pytest

from coverslip.verify.header_book import HeaderBook
from coverslip.verify.sides import open_side
from coverslip.verify.tiles import Pair, judge_block


@pytest.fixture
def side(workshop, tmp_path):
    """The source, whose first tile says more than its picture."""
    with ExitStack() as stack:
        yield open_side(workshop.source.write(tmp_path / "slide.svs"), stack)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_header_keeps_its_meaning(workshop, side, monkeypatch, order):
    """While one thread reads a header, another meets the other: neither is taken for it, none is offered unread."""
    page, tiles = side.levels[0], workshop.source.pages[0].pieces[:2]
    first, other = (tiles[number] for number in order)
    alone, book, met, read = HeaderBook(page), HeaderBook(page), [], HeaderBook._read
    headers = [tile[: alone.length(tile)] for tile in tiles]

    def between(self, segments):
        if not met:
            met.append(1)
            assert not any(tile.startswith(self._latest) for tile in tiles)
            self.length(other)
        return read(self, segments)

    monkeypatch.setattr(HeaderBook, "_read", between)
    book.length(first)
    assert met
    assert book.known == alone.known
    assert [book.is_plain(header) for header in headers] == [False, True]


class Forgetful(dict):
    """Another thread has always just made room."""

    def __setitem__(self, key, value):
        pass


def test_a_verdict_is_not_lost_with_what_is_remembered(side):
    """Tiles that were looked at closely are judged, also when nothing of them is kept."""
    page = side.levels[0]
    pair = Pair(side.file, page, HeaderBook(page), judged=Forgetful())
    outcome = judge_block(pair, np.arange(len(page.offsets)))
    assert outcome.wrong == ((0, "foreign-marker"),)
    assert not pair.book.unused
