"""Broken geometry: sizes nobody can mean, tiles in the wrong place, pages nobody understands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from samples.broken_case import ANY, DAMAGED, LIMIT, OK, STOPPED, UNKNOWN, UNSUPPORTED, Case, Change
from samples.surgery import Patient

WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS = 256, 257, 322, 323, 324, 325


def cases() -> Iterator[Case]:
    """All of this table."""
    yield from _sizes()
    yield from _tables()
    yield from _places()
    yield from _pages()


def sized(width: int | None = None, height: int | None = None, tile: int | None = None) -> Change:
    """Claim other dimensions of the base level, as LONG where SHORT is too short."""

    def change(patient: Patient) -> Patient:
        for code, value in ((WIDTH, width), (HEIGHT, height), (TILE_WIDTH, tile), (TILE_HEIGHT, tile)):
            if value is not None:
                patient.retype(0, code, 4).point(0, code, value)
        return patient

    return change


def _sizes() -> Iterator[Case]:
    many = (1 << 21) + 1
    for base in ("svs", "big", "tiff"):
        yield Case(f"size-{base}-width-0", (DAMAGED, UNSUPPORTED), base, sized(width=0))
        yield Case(f"size-{base}-height-0", (DAMAGED, UNSUPPORTED), base, sized(height=0))
        yield Case(f"size-{base}-tile-0", (DAMAGED, UNSUPPORTED), base, sized(tile=0))
        yield Case(f"size-{base}-width-over", (LIMIT, DAMAGED), base, sized(width=many))
        yield Case(f"size-{base}-width-max", (LIMIT, DAMAGED), base, sized(width=0xFFFFFFFF))
        yield Case(f"size-{base}-terapixel", (LIMIT, DAMAGED), base, sized(width=1 << 20, height=1 << 20))
        yield Case(f"size-{base}-tile-8192", (LIMIT, DAMAGED), base, sized(tile=8192))
        yield Case(f"size-{base}-tile-max", (LIMIT, DAMAGED), base, sized(tile=0xFFFFFFFF))
        yield Case(f"size-{base}-tile-1", (DAMAGED,), base, sized(tile=1))
        yield Case(f"size-{base}-more-tiles-than-stored", (DAMAGED, UNKNOWN), base, sized(width=1500))
        yield Case(f"size-{base}-fewer-tiles-than-stored", (DAMAGED, UNKNOWN, OK), base, sized(width=64))
    yield Case("size-strip-rows-0", (OK, *ANY), "svs", partial(Patient.set, page=1, code=278, value=0))
    yield Case("size-strip-rows-max", (OK, *ANY), "svs", lambda p: p.retype(1, 278, 4).point(1, 278, 0xFFFFFFFF))
    yield Case("size-thumbnail-width-max", (OK, *ANY), "svs", lambda p: p.retype(1, WIDTH, 4).point(1, WIDTH, 1 << 31))


def _tables() -> Iterator[Case]:
    for base in ("svs", "tiff"):
        for code, name in ((OFFSETS, "offsets"), (COUNTS, "counts")):
            for count in (0, 1, 5, 7):
                change = partial(Patient.recount, page=0, code=code, count=count)
                yield Case(f"table-{base}-{count}-{name}-of-6", (DAMAGED, UNSUPPORTED), base, change)
        yield Case(
            f"table-{base}-both-short", (DAMAGED,), base, lambda p: p.recount(0, OFFSETS, 3).recount(0, COUNTS, 3)
        )


def _places() -> Iterator[Case]:
    for base in ("svs", "big"):
        yield Case(f"tile-{base}-in-header", (DAMAGED,), base, _tile(offset=0))
        yield Case(f"tile-{base}-in-ifd", (DAMAGED,), base, lambda p: p.set(0, OFFSETS, p.pages[0][0], 1))
        yield Case(f"tile-{base}-in-ifd-whole", (DAMAGED,), base, _over_ifd)
        yield Case(f"tile-{base}-at-end", (DAMAGED,), base, lambda p: p.set(0, OFFSETS, len(p.data), 1))
        yield Case(f"tile-{base}-over-end", (DAMAGED,), base, lambda p: p.set(0, OFFSETS, len(p.data) - 9, 1))
        yield Case(f"tile-{base}-offset-max", (DAMAGED,), base, _tile(offset=0xFFFFFFFF))
        yield Case(f"tile-{base}-count-max", (DAMAGED, LIMIT), base, _tile(length=0xFFFFFFFF))
        # Aperio leaves a tile out by a length of zero; readers show glass there, and here the next level shows tissue.
        yield Case(f"tile-{base}-empty", (OK, DAMAGED, STOPPED), base, _tile(length=0))
        yield Case(
            f"tile-{base}-empty-at-zero", (OK, DAMAGED, STOPPED), base, lambda p: _tile(length=0)(_tile(offset=0)(p))
        )
        yield Case(f"tile-{base}-all-empty", (OK, DAMAGED, UNSUPPORTED, STOPPED), base, _all_empty)
        yield Case(f"tile-{base}-shared", (OK, STOPPED), base, _shared)
        yield Case(f"tile-{base}-overlaps-next", (DAMAGED, OK), base, _longer)
        yield Case(f"tile-{base}-one-byte", (DAMAGED,), base, _tile(length=1))
        yield Case(
            f"tile-{base}-cut-short", (OK, DAMAGED, STOPPED), base, lambda p: p.set(0, COUNTS, p.tile(0, 1)[1] - 40, 1)
        )
        yield Case(f"tile-{base}-in-label", (DAMAGED,), base, _label_as_tile)
    # One tile of seventy: dust is more.
    yield Case("tile-one-empty", (OK,), "one-svs", _tile(length=0))
    yield Case("tile-one-shared", (OK,), "one-svs", _shared)
    for edge in (1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        yield Case(f"tile-big-offset-{edge:x}", (DAMAGED,), "big", _tile(offset=edge))
        yield Case(f"tile-big-count-{edge:x}", (DAMAGED, LIMIT), "big", _tile(length=edge))
    wrap = (1 << 64) - 16
    yield Case("tile-big-sum-wraps", (DAMAGED, LIMIT), "big", lambda p: _tile(length=32)(_tile(offset=wrap)(p)))


def _tile(*, offset: int | None = None, length: int | None = None) -> Change:
    """Give tile 1 of the base level another place or length."""

    def change(patient: Patient) -> Patient:
        if offset is not None:
            patient.set(0, OFFSETS, offset, 1)
        return patient if length is None else patient.set(0, COUNTS, length, 1)

    return change


def _over_ifd(patient: Patient) -> Patient:
    at, end, _ = patient.pages[0]
    return patient.set(0, OFFSETS, at, 1).set(0, COUNTS, end - at, 1)


def _all_empty(patient: Patient) -> Patient:
    for index in range(patient.entry(0, COUNTS).count):
        patient.set(0, COUNTS, 0, index)
    return patient


def _shared(patient: Patient) -> Patient:
    """Two tiles with the same bytes: writers that store blank tiles once do that."""
    at, length = patient.tile(0, 0)
    return patient.set(0, OFFSETS, at, 1).set(0, COUNTS, length, 1)


def _longer(patient: Patient) -> Patient:
    return patient.set(0, COUNTS, patient.tile(0, 1)[1] + 50, 1)


def _label_as_tile(patient: Patient) -> Patient:
    """A tile that points at the label's strip: the label must not leave in a level's clothes."""
    strip = patient.number(3, 273), patient.number(3, 279)
    return patient.set(0, OFFSETS, strip[0], 1).set(0, COUNTS, strip[1], 1)


def _pages() -> Iterator[Case]:
    for kind in (0, 4, 0xFFFFFFFF):
        yield Case(f"page-strips-subfile-{kind:x}", (UNKNOWN,), "svs", _extra_page(kind))
    yield Case("page-strips-in-generic", (UNKNOWN,), "tiff", _extra_page(0))
    yield Case("page-without-pixels", (UNKNOWN, OK), "svs", lambda p: p.link_last(p.ifd((254, 4, 1, 0))))
    yield Case("page-empty", (UNKNOWN, DAMAGED, OK), "svs", lambda p: p.link_last(p.ifd()))
    yield Case("page-macro-unmarked", (UNKNOWN, OK), "svs", _macro_without_a_word)
    yield Case("page-level-of-other-shape", (UNKNOWN, DAMAGED), "tiff", lambda p: p.set(1, WIDTH, 30))
    yield Case("page-level-larger-than-base", (UNKNOWN, DAMAGED), "tiff", lambda p: p.set(1, WIDTH, 300))
    yield Case("page-second-base", (UNKNOWN, DAMAGED, OK), "tiff", _second_base)
    yield Case("page-no-tiles-at-all", (UNKNOWN, UNSUPPORTED), "svs", lambda p: p.first_ifd(p.pages[1][0]))
    yield Case("page-only-label", (UNKNOWN, UNSUPPORTED), "svs", lambda p: p.first_ifd(p.pages[3][0]))
    yield Case("page-mask", (UNKNOWN, OK), "tiff", partial(Patient.set, page=1, code=254, value=5))


def _extra_page(kind: int) -> Change:
    """A picture behind the macro, in one raw strip, without a word about what it is."""

    def change(patient: Patient) -> Patient:
        at = patient.append(bytes(16 * 16 * 3))
        bits = patient.append(b"\x08\0\x08\0\x08\0")
        return patient.link_last(
            patient.ifd(
                (254, 4, 1, kind), (256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2),
                (273, 4, 1, at), (277, 3, 1, 3), (278, 3, 1, 16), (279, 4, 1, 768),
            )
        )  # fmt: skip

    return change


def _macro_without_a_word(patient: Patient) -> Patient:
    """The macro as GT450 writes it, but with a subfile type that means nothing."""
    return patient.recode(4, 270, 65001).set(4, 254, 0)


def _second_base(patient: Patient) -> Patient:
    """A level that claims exactly the base level's extent, with the tiles of the base level."""
    return patient.next_ifd(0, _copy_of_base(patient))


def _copy_of_base(patient: Patient) -> int:
    at, end, _ = patient.pages[0]
    return patient.append(bytes(patient.data[at:end]) + bytes(4))
