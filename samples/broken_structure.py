"""Broken headers, directories and entries."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from functools import partial

from samples.broken_case import ANY, DAMAGED, LIMIT, OK, REFUSED, UNKNOWN, UNSUPPORTED, Case, Change
from samples.surgery import Patient

EDGE32 = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
EDGE64 = (1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
DESCRIPTION, WIDTH, OFFSETS, COUNTS = 270, 256, 324, 325


def cases() -> Iterator[Case]:
    """All of this table."""
    yield from _magic()
    yield from _truncated()
    yield from _pointers()
    yield from _loops()
    yield from _entries()
    yield from _types()
    yield from _crowds()


def _magic() -> Iterator[Case]:
    contents = {
        "empty": b"", "one-byte": b"I", "three-bytes": b"II*", "four-bytes": b"II*\0", "zeros": bytes(4096),
        "wrong-mark": b"XX*\0\x08\0\0\0" + bytes(64), "mixed-mark": b"IM*\0\x08\0\0\0" + bytes(64),
        "version-41": b"II\x29\0\x08\0\0\0" + bytes(64), "version-44": b"II\x2c\0\x08\0\0\0" + bytes(64),
        "text": b"This is not a slide.\n" * 10,
        "png": b"\x89PNG\r\n\x1a\n" + bytes(64), "zip": b"PK\x03\x04" + bytes(64),
        "pdf": b"%PDF-1.7\n" + bytes(64), "gzip": gzip.compress(b"II*\0", mtime=0), "elf": b"\x7fELF" + bytes(64),
        "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(64), "script": b"#!/bin/sh\nexit 1\n",
    }  # fmt: skip
    for name, content in contents.items():
        yield Case(f"magic-{name}", REFUSED, "svs", content)
    for name, content in {
        "header-only": b"II*\0\x08\0\0\0", "no-directory": b"II*\0\0\0\0\0" + bytes(64),
        "big-short-header": b"II+\0\x08\0\0\0\x10\0\0\0", "big-header-only": b"II+\0\x08\0\0\0\x10" + bytes(7),
        "big-offset-size-4": b"II+\0\x04\0\0\0\x10" + bytes(71), "big-reserved": b"II+\0\x08\0\x01\0\x10" + bytes(71),
    }.items():  # fmt: skip
        yield Case(f"magic-{name}", REFUSED, "svs", content)
    yield Case("magic-other-byte-order", REFUSED, "svs", lambda p: p.bytes_at(0, b"MM\0*"))
    yield Case("magic-big-in-classic", REFUSED, "svs", lambda p: p.bytes_at(2, b"+\0"))
    yield Case("magic-classic-in-big", ANY, "big", lambda p: p.bytes_at(2, b"*\0"))


def _truncated() -> Iterator[Case]:
    def at(page: int, plus: int) -> Change:
        def change(patient: Patient) -> Patient:
            del patient.data[patient.pages[page][0] + plus :]
            return patient

        return change

    def before_next(patient: Patient) -> Patient:
        del patient.data[patient.pages[0][1] :]
        return patient

    def in_values(patient: Patient) -> Patient:
        del patient.data[patient.entry(0, DESCRIPTION).value_at + 10 :]
        return patient

    def in_tiles(patient: Patient) -> Patient:
        del patient.data[patient.tile(0, 1)[0] + 7 :]
        return patient

    for base in ("svs", "big"):
        for name, change in {
            "before-first-ifd": at(0, 0), "in-entry-count": at(0, 1), "in-first-entry": at(0, 15),
            "before-next-pointer": before_next, "in-description": in_values, "in-tiles": in_tiles,
            "before-thumbnail": at(1, 0), "in-thumbnail-entries": at(1, 30), "before-label": at(3, 0),
            "in-macro-entries": at(4, 60),
        }.items():  # fmt: skip
            yield Case(f"truncated-{base}-{name}", REFUSED, base, change)
    # The last byte may be padding.
    yield Case("truncated-last-byte", (OK, *REFUSED), "svs", lambda p: _cut(p, len(p.data) - 1))
    yield Case("truncated-half", REFUSED, "svs", lambda p: _cut(p, len(p.data) // 2))


def _cut(patient: Patient, length: int) -> Patient:
    del patient.data[length:]
    return patient


def _pointers() -> Iterator[Case]:
    for offset in (1, 2, 4, 6, 13, *EDGE32):
        yield Case(f"first-ifd-at-{offset:x}", ANY, "svs", partial(Patient.first_ifd, offset=offset))
    for offset in (1, 8, 15, *EDGE32, *EDGE64):
        yield Case(f"big-first-ifd-at-{offset:x}", ANY, "big", partial(Patient.first_ifd, offset=offset))
    for offset in (1, 4, *EDGE32):
        yield Case(f"next-ifd-at-{offset:x}", ANY, "svs", partial(Patient.next_ifd, page=1, offset=offset))
    for offset in EDGE64:
        yield Case(f"big-next-ifd-at-{offset:x}", ANY, "big", partial(Patient.next_ifd, page=1, offset=offset))
    yield Case("next-ifd-at-end", ANY, "svs", lambda p: p.next_ifd(4, len(p.data)))
    yield Case("next-ifd-inside-another", ANY, "svs", lambda p: p.next_ifd(4, p.pages[0][0] + 12))


def _loops() -> Iterator[Case]:
    def below(code: int, kind: int, target: Callable[[Patient], int]) -> Change:
        # ImageDepth is the one entry nobody misses.
        return lambda p: p.point(0, 32997, target(p)).retype(0, 32997, kind).recode(0, 32997, code)

    def exif_self(patient: Patient) -> Patient:
        at = len(patient.data) + len(patient.data) % 2
        patient.append(patient.ifd((34665, 4, 1, at)))
        return below(34665, 4, lambda p: at)(patient)

    for base in ("svs", "big"):
        yield Case(f"loop-{base}-self", (DAMAGED, LIMIT), base, lambda p: p.next_ifd(0, p.pages[0][0]))
        yield Case(f"loop-{base}-two", (DAMAGED, LIMIT), base, lambda p: p.next_ifd(1, p.pages[0][0]))
        yield Case(f"loop-{base}-end-to-middle", (DAMAGED, LIMIT), base, lambda p: p.next_ifd(4, p.pages[2][0]))
    loops = (DAMAGED, LIMIT, UNKNOWN)
    yield Case("loop-subifd-self", loops, "svs", below(330, 4, lambda p: p.pages[0][0]))
    yield Case("loop-subifd-type-ifd", loops, "svs", below(330, 13, lambda p: p.pages[0][0]))
    yield Case("loop-subifd-next-page", (*loops, OK), "svs", below(330, 4, lambda p: p.pages[1][0]))
    yield Case("loop-exif-parent", loops, "svs", below(34665, 4, lambda p: p.pages[0][0]))
    yield Case("loop-gps-parent", loops, "svs", below(34853, 4, lambda p: p.pages[0][0]))
    yield Case("loop-interoperability-parent", loops, "svs", below(40965, 4, lambda p: p.pages[0][0]))
    yield Case("loop-exif-self", loops, "svs", exif_self)
    yield Case("subifd-beyond-end", ANY, "svs", below(330, 4, lambda p: 0xFFFFFFF0))
    yield Case("subifd-in-tile", ANY, "svs", below(330, 4, lambda p: p.tile(0, 0)[0]))
    yield Case("exif-beyond-end", ANY, "svs", below(34665, 4, lambda p: 0xFFFFFFF0))


def _entries() -> Iterator[Case]:
    for count in (0, 1, 0xFFFF):
        yield Case(f"entry-count-{count:x}", ANY, "svs", partial(Patient.entries, page=0, count=count))
    for count in (0, 1, 513, *EDGE64):
        yield Case(f"big-entry-count-{count:x}", ANY, "big", partial(Patient.entries, page=0, count=count))
    for count in EDGE32:
        yield Case(f"description-count-{count:x}", (DAMAGED, LIMIT), "svs", _recount(DESCRIPTION, count))
        yield Case(f"offsets-count-{count:x}", (DAMAGED, LIMIT), "svs", _recount(OFFSETS, count))
    for count in EDGE64:
        yield Case(f"big-description-count-{count:x}", (DAMAGED, LIMIT), "big", _recount(DESCRIPTION, count))
        yield Case(f"big-offsets-count-{count:x}", (DAMAGED, LIMIT), "big", _recount(OFFSETS, count))
    for offset in (0, 4, *EDGE32):
        codes = (OK, *ANY) if offset < 8 else (DAMAGED,)
        yield Case(
            f"description-at-{offset:x}", codes, "svs", partial(Patient.point, page=0, code=DESCRIPTION, offset=offset)
        )
    for offset in EDGE64:
        yield Case(
            f"big-description-at-{offset:x}",
            (DAMAGED,),
            "big",
            partial(Patient.point, page=0, code=DESCRIPTION, offset=offset),
        )
    for code in (WIDTH, 257, 322, 323, OFFSETS, COUNTS):
        yield Case(f"missing-{code}", ANY, "svs", _missing(code))
        yield Case(f"missing-big-{code}", ANY, "big", _missing(code))
    for code in (258, 259, 262, 277):
        yield Case(f"missing-{code}", (OK, *ANY), "svs", _missing(code))
    yield Case("duplicate-width", (OK, *ANY), "svs", lambda p: p.recode(0, 257, WIDTH))
    yield Case("duplicate-offsets", ANY, "svs", lambda p: p.recode(0, COUNTS, OFFSETS))


def _recount(code: int, count: int) -> Change:
    return lambda patient: patient.recount(0, code, count)


def _missing(code: int) -> Change:
    return partial(Patient.recode, page=0, code=code, other=code + 0x9000)


def _retype(code: int, kind: int) -> Change:
    return partial(Patient.retype, page=0, code=code, kind=kind)


def _types() -> Iterator[Case]:
    for kind in (0, 14, 99, 0xFFFF):
        yield Case(f"width-type-{kind}", REFUSED, "svs", _retype(WIDTH, kind))
        yield Case(f"private-type-{kind}", (OK, *REFUSED), "svs", _retype(32997, kind))
    for kind, name in {2: "ascii", 5: "rational", 7: "undefined", 11: "float", 12: "double"}.items():
        yield Case(f"width-type-{name}", ANY, "svs", _retype(WIDTH, kind))
        yield Case(f"offsets-type-{name}", ANY, "svs", _retype(OFFSETS, kind))
    yield Case("offsets-type-short", ANY, "svs", lambda p: p.retype(0, OFFSETS, 3))
    yield Case("description-type-byte", (OK, *ANY), "svs", lambda p: p.retype(0, DESCRIPTION, 1))
    yield Case("description-type-double", ANY, "svs", lambda p: p.retype(0, DESCRIPTION, 12))
    yield Case("width-count-0", ANY, "svs", _recount(WIDTH, 0))
    yield Case("width-count-2", (OK, *ANY), "svs", _recount(WIDTH, 2))


def _crowds() -> Iterator[Case]:
    def many_ifds(patient: Patient) -> Patient:
        at, size = len(patient.data) + len(patient.data) % 2, len(patient.ifd((254, 4, 1, 0)))
        chain = [patient.ifd((254, 4, 1, 0), following=at + size * (i + 1) if i < 2999 else 0) for i in range(3000)]
        return patient.link_last(b"".join(chain))

    def many_entries(patient: Patient) -> Patient:
        return patient.link_last(patient.ifd(*((40000 + i, 3, 1, 0) for i in range(600))))

    def many_of_both(patient: Patient) -> Patient:
        entries = tuple((40000 + i, 3, 1, 0) for i in range(500))
        at, size = len(patient.data) + len(patient.data) % 2, len(patient.ifd(*entries))
        chain = [patient.ifd(*entries, following=at + size * (i + 1) if i < 599 else 0) for i in range(600)]
        return patient.link_last(b"".join(chain))

    def many_children(patient: Patient) -> Patient:
        child = patient.append(patient.ifd((254, 4, 1, 0)))
        table = patient.append(struct.pack("<5000I", *([child] * 5000)))
        return patient.recount(0, 32997, 5000).point(0, 32997, table).recode(0, 32997, 330)

    def deep_children(patient: Patient) -> Patient:
        child = patient.append(patient.ifd((254, 4, 1, 0)))
        for _ in range(100):
            child = patient.append(patient.ifd((330, 4, 1, child)))
        return patient.point(0, 32997, child).recode(0, 32997, 330)

    def long_words(patient: Patient) -> Patient:
        at = patient.append(b"Aperio " + b"x" * (17 << 20))
        return patient.point(0, DESCRIPTION, at).recount(0, DESCRIPTION, 17 << 20)

    yield Case("crowd-3000-ifds", (LIMIT, UNKNOWN), "svs", many_ifds)
    yield Case("crowd-600-entries", (LIMIT,), "svs", many_entries)
    yield Case("crowd-300000-entries", (LIMIT,), "svs", many_of_both)
    yield Case("crowd-5000-subifds", (LIMIT, DAMAGED, UNKNOWN), "svs", many_children)
    yield Case("crowd-nested-subifds", (LIMIT, DAMAGED, UNKNOWN), "svs", deep_children)
    yield Case("crowd-17-mib-description", (LIMIT,), "svs", long_words)
    yield Case("first-ifd-at-0", (*REFUSED, UNKNOWN, LIMIT), "svs", partial(Patient.first_ifd, offset=0))
    yield Case("unknown-compression-of-base", (UNSUPPORTED, UNKNOWN, DAMAGED), "svs", lambda p: p.set(0, 259, 9999))
