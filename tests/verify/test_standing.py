"""JPEG tables that go may hold words, which are looked for; a table that also stays somewhere has not gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coverslip.codestreams import jpeg_tables
from coverslip.verify import Secret
from coverslip.verify import jpeg_tables as own
from coverslip.verify.jpeg_walk import walk_header
from coverslip.verify.standing import words_in_tables
from samples.codecs import dht, dqt

NAME = b"MUSTERFRAU^ERIKA"
LOW = bytes(range(80, 123)) + bytes(range(130, 151))
"""Divisors of a picture of low quality: letters stand in them side by side."""
ALPHABET = bytes((0x11, 0x21, *range(0x41, 0x4A), *range(0x51, 0x5A)))
TABLES = {
    "divisors that spell": (dqt(3, NAME), NAME.ljust(64, b"A")),
    "divisors of low quality": (dqt(0, LOW), LOW),
    "divisors of high quality": (dqt(0, b"\2" * 64), b""),
    "symbols that spell": (dht(3, NAME), NAME),
    "symbols a scan could use": (dht(0, ALPHABET), b""),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_tables_say_is_read_alike(name):
    """By the reader, and by the verifier's own walk."""
    segment, said = TABLES[name]
    payload = segment[4:]
    read = jpeg_tables.quantisation if segment[1] == 0xDB else jpeg_tables.huffman
    assert [jpeg_tables.words(table) for table in read(payload)] == [said]
    assert [own.words(table) for table in own.tables_of(segment[1], payload, "here")] == [said]


def low_quality(page, table=LOW):
    """All divisors of a page's tiles are `table`."""

    def put(tile):
        for found in walk_header(tile, "tile").segments:
            if found.marker == 0xDB:
                body = found.payload[:1] + table + (found.payload[65:66] + table if len(found.payload) > 65 else b"")
                tile = tile.replace(found.payload, body)
        return tile

    return replace(page, pieces=tuple(map(put, page.pieces)))


def test_a_table_that_also_stays_is_no_leak(workshop):
    """It went from one page, where nobody used it, and another cannot do without it; that this one shows something else
    with such divisors is another check's business."""
    workshop.source, clean = (slide.page(0, low_quality) for slide in (workshop.source, workshop.clean))
    assert any(said == LOW for _, said in words_in_tables(walk_header(clean.pages[0].pieces[0], "").segments, ""))
    secrets = (*workshop.secrets, Secret("ifd[1]/JPEGTables/DQT", LOW))
    assert ("leaks", "secret-found") not in workshop.codes(clean, secrets=secrets)


@pytest.mark.parametrize("kept", [NAME, NAME.decode().encode("utf-16-be")])
def test_a_name_from_a_table_is_found_elsewhere(workshop, kept):
    """In bytes nothing owns, in whatever form."""
    secrets = (*workshop.secrets, Secret("ifd[0]/tiles/DQT", NAME.ljust(64, b"A")))
    codes = workshop.codes(replace(workshop.clean, tail=kept + b"A" * 4), secrets=secrets)
    assert ("leaks", "secret-found") in codes


def test_a_part_of_a_table_that_stays_is_no_excuse(workshop):
    """A removed table is compared whole: that it begins like one that stays proves nothing."""
    workshop.source, clean = (slide.page(0, low_quality) for slide in (workshop.source, workshop.clean))
    secrets = (*workshop.secrets, Secret("ifd[0]/tiles/DQT", LOW[:40] + bytes(24)))
    assert ("leaks", "secret-found") in workshop.codes(clean, secrets=secrets)
