"""A writer that takes numeric fields over as bytes is caught: each number is one the field can mean."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from coverslip.errors import InputError

TEXT = b"SMITH^JOHN^MRN7654321" + b" " * 40
BAD = {
    "532": (532, 5, TEXT[:48]),
    "529": (529, 5, TEXT[:24]),
    "282": (282, 5, b"SMITHJON"),
    "283": (283, 5, b"MRN76543"),
    "282 not in lowest terms": (282, 5, (40000, 2)),
    "282 of nine digits": (282, 5, (123456789, 1000)),
    "282 of thirds": (282, 5, (10000, 3)),
    "282 out of range": (282, 5, (1, 1000000)),
    **{str(code): (code, 4, b"JSMI") for code in (254, 259, 262, 266, 274, 277, 284, 296, 317, 531, 32997)},
    "274 in eight bytes": (274, 16, b"JSMITH76"),
    "296 as a long": (296, 4, (3,)),
    "274 of nine": (274, 3, (9,)),
    "277 of four samples": (277, 3, (4,)),
    "277 of one": (277, 3, (1,)),
    "339": (339, 4, b"JSMITH765432"),
    "258": (258, 3, b"JSMITH"),
    "258 mixed": (258, 3, (8, 8, 4)),
    "530": (530, 3, b"JSMI"),
    "278 beside tiles": (278, 4, (16,)),
    "278 of words": (278, 4, b"JSMI"),
    "532 where it means nothing": (532, 5, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1)),
}


@pytest.mark.parametrize("name", BAD)
def test_letters_in_place_of_numbers_are_found(workshop, name):
    """The source has the very same field, so that nothing reads differently."""
    bad = workshop.tag(*BAD[name])

    def hide(page):
        if name.endswith("means nothing"):
            page = page.with_tag(workshop.tag(262, 3, (2,)))
        return page.with_tag(bad)

    workshop.source = workshop.source.page(0, hide)
    with suppress(InputError):  # a number so wrong that the walk stops there
        found = workshop.codes(workshop.clean.page(0, hide))
        assert found & {("structure", "unexpected-value"), ("structure", "unexpected-type")}


GOOD = {
    "resolution": [(282, 5, (4619514, 125)), (283, 5, (72, 1)), (296, 3, (3,))],
    "orientation": [(274, 3, (1,))],
    "coefficients": [(529, 5, (299, 1000, 587, 1000, 114, 1000))],
    "range": [(532, 5, (0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1))],
    "depth": [(32997, 4, (1,))],
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("order", ["<", ">"])
def test_usual_numbers_pass(workshop, name, order):
    """What scanners write, in the one spelling."""

    def give(page):
        for tag in GOOD[name]:
            page = page.with_tag(workshop.tag(*tag))
        return page

    workshop.source = replace(workshop.source.page(0, give), order=order)
    assert workshop.codes(replace(workshop.clean.page(0, give), order=order)) == set()


def test_a_resolution_that_reads_otherwise_is_found(workshop):
    """Rounding to eight digits passes, a digit more does not; on levels as on the base."""

    def give(value):
        return lambda page: page.with_tag(workshop.tag(282, 5, value)).with_tag(workshop.tag(283, 5, value))

    workshop.source = workshop.source.page(2, give((2147483647, 54397)))
    assert workshop.codes(workshop.clean.page(2, give((39477979, 1000)))) == set()
    assert ("utility", "reads-differently") in workshop.codes(workshop.clean.page(2, give((39477989, 1000))))
    assert ("utility", "reads-differently") in workshop.codes(workshop.clean)
