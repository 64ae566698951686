"""Only what the verifier's own lists allow stands in a clean slide: directories, tags, texts, tables, profiles."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from coverslip.errors import InputError
from coverslip.geometry import Size
from coverslip.slide import Route
from coverslip.verify import grammar, icc, jpeg_walk, ome, values
from coverslip.verify.codecs import Judged, judge_for, shared_keys
from coverslip.verify.jpeg_tables import DHT, DQT, tables_of
from coverslip.verify.limits import MAX_PICTURE_PIXELS
from coverslip.verify.pages import Page, level_pages, levels_below, plane_pages
from coverslip.verify.planes import block, stack_of
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding
from coverslip.verify.tiff_walk import INTEGER_TYPES, TYPE_SIZES, Field, Ifd, IfdKind, Tiff, raw

DESCRIPTION, JPEG_TABLES, ICC_PROFILE = 270, 347, 34675
SAMPLES = -1
MANY = -2
ALLOWED: dict[int, int] = {
    254: 1, 256: 1, 257: 1, 258: SAMPLES, 259: 1, 262: 1, 266: 1, 270: MANY, 273: MANY, 274: 1, 277: 1, 278: 1,
    279: MANY, 282: 1, 283: 1, 284: 1, 296: 1, 317: 1, 322: 1, 323: 1, 324: MANY, 325: MANY, 330: MANY,
    339: SAMPLES, 347: MANY, 529: 3, 530: 2, 531: 1, 532: 6, 32997: 1, 34675: MANY,
}  # fmt: skip
"""Tag → how many values it may have. Everything else is somebody's words or nobody's business."""
RATIONAL = 5
RATIONALS = frozenset({282, 283, 529, 532})
OPAQUE = frozenset({JPEG_TABLES, ICC_PROFILE})
MAX_DESCRIPTION = 4096
BLOCK = b"<?xml"
"""How the description begins that tells of planes."""
MAX_NUMBERS = 1 << 16
"""Bytes of numbers that are looked at one by one; a field of more is found to have too many."""


def check_structure(file: Bytes, tiff: Tiff, pages: Sequence[Page], route: Route) -> list[Finding]:
    """Hold every directory, tag and picture against the verifier's lists."""
    by_ifd = {page.path: page for page in pages}
    levels = level_pages(pages)
    below = {page.path for page in levels if page.ifd.kind is IfdKind.SUBIFD}
    found: list[Finding] = []
    for ifd in tiff.ifds:
        page = by_ifd.get(ifd.path)
        found += _directory(file, tiff, ifd, page, is_level=ifd.path in below)
    found += _pictures(pages, levels, route)
    found += _order(file, tiff, pages, levels)
    for page in pages:
        found += _tables(page)
        if not page.tiled:
            found += _strips(file, page)
    return found


def _finding(code: str, where: str, detail: str) -> Finding:
    return Finding("structure", code, where, detail)


def _directory(file: Bytes, tiff: Tiff, ifd: Ifd, page: Page | None, *, is_level: bool) -> Iterator[Finding]:
    if ifd.kind is not IfdKind.PAGE and not is_level:
        yield _finding("unexpected-directory", ifd.path, f"no clean slide has a directory of kind {ifd.kind.value}")
    if page is None:
        yield _finding("unexpected-directory", ifd.path, "a directory without a picture")
    codes = [field.tag for field in ifd.fields]
    if len(set(codes)) != len(codes):
        yield _finding("repeated-tag", ifd.path, "a tag stands twice in one directory")
    for field in ifd.fields:
        yield from _tag(file, ifd, field, page.samples if page else 1)
        yield from _number(file, tiff, ifd, field, page)


def _tag(file: Bytes, ifd: Ifd, field: Field, samples: int) -> Iterator[Finding]:
    where = f"{ifd.path}/{field.tag}"
    most = ALLOWED.get(field.tag)
    if most is None:
        yield _finding("unexpected-tag", where, "this tag is on no list")
        return
    if not _has_right_type(field):
        yield _finding("unexpected-type", where, "this tag cannot have values of this type")
    if most != MANY and field.count > (samples if most == SAMPLES else most):
        yield _finding("too-many-values", where, "this tag has more values than it can mean")
    if field.inline and _slack(file, field).strip(b"\0"):
        yield _finding("slack", where, "bytes behind a short value are not zero")
    if field.tag == DESCRIPTION:
        yield from _description(raw(file, ifd, field), where, first=ifd.path == "ifd[0]")
    if field.tag == ICC_PROFILE:
        yield from (_finding("profile", where, text) for text in icc.objections(raw(file, ifd, field)))


def _number(file: Bytes, tiff: Tiff, ifd: Ifd, field: Field, page: Page | None) -> Iterator[Finding]:
    """Numbers are those the field can mean, spelt in the one way there is."""
    if field.tag not in (*values.NUMBERS, *RATIONALS) or field.size > MAX_NUMBERS:
        return
    where = f"{ifd.path}/{field.tag}"
    form = values.LETTERS.get(field.type)
    data = raw(file, ifd, field)
    found = struct.unpack(f"{tiff.order}{len(data) // struct.calcsize(form)}{form}", data) if form else ()
    if not values.is_allowed(field.tag, field.type, found, page):
        yield _finding("unexpected-value", where, "this tag holds a number that it cannot mean")
    elif page is not None and not values.means_something(field.tag, page):
        yield _finding("unexpected-value", where, "this tag means nothing on such a page")


def _has_right_type(field: Field) -> bool:
    if field.tag == DESCRIPTION:
        return field.type == 2
    if field.tag in OPAQUE:
        return field.type == 7
    return field.type == RATIONAL if field.tag in RATIONALS else field.type in INTEGER_TYPES


def _slack(file: Bytes, field: Field) -> bytes:
    """What follows a value that is shorter than its place in the entry."""
    width = 8 if TYPE_SIZES.get(field.type, 0) and _is_big(file) else 4
    return file.read(field.offset + field.size, width - field.size, "slack")


def _is_big(file: Bytes) -> bool:
    return file.read(2, 2, "header") in (b"\x2b\0", b"\0\x2b")


def _description(value: bytes, where: str, *, first: bool) -> Iterator[Finding]:
    told = first and value.startswith(BLOCK)
    most = ome.MAX_CLEAN if told else MAX_DESCRIPTION
    if len(value) > most or not value.endswith(b"\0") or b"\0" in value[:-1] or not value.isascii():
        yield _finding("description", where, "is not one short ASCII text with one NUL at its end")
        return
    text = value[:-1].decode("ascii")
    for objection in ome.objections(text) if told else grammar.objections(text):
        yield _finding("description", where, objection)


def _pictures(pages: Sequence[Page], levels: Sequence[Page], route: Route) -> Iterator[Finding]:
    """Levels are tiled, and nothing else is; beside them one thumbnail may stand, and nothing in a converted slide."""
    others = [page for page in pages if page not in levels]
    if not levels or not pages[0].tiled:
        yield _finding("no-base-level", "ifd[0]", "the first page is not a tiled level")
    for page in others:
        if page.tiled:
            yield _finding("unexpected-picture", page.path, "a tiled picture that is no level of the first page")
    allowed = 0 if route is Route.CONVERTED else 1
    for page in others[allowed:]:
        yield _finding("unexpected-picture", page.path, "there are more pictures beside the levels than expected")
    for page in others:
        if page.size.area > MAX_PICTURE_PIXELS:
            yield _finding("unexpected-picture", page.path, "a picture beside the levels is too large")
    for page in pages:
        if len(page.offsets) != page.pieces:
            yield _finding("tile-count", page.path, f"there are not as many {page.piece}s as the size asks for")


def _order(file: Bytes, tiff: Tiff, pages: Sequence[Page], levels: Sequence[Page]) -> Iterator[Finding]:
    """Levels become smaller, of each plane by itself; and there are as many planes as the first page tells of."""
    stack, planes = stack_of(file, tiff, pages), plane_pages(pages)
    if stack is None:
        if block(file, tiff).startswith(BLOCK):
            yield _finding("planes", "ifd[0]/270", "the pages are not the planes that are told of")
        yield from _smaller_and_smaller(levels)
        return
    if {page.path for page in planes} != {own[0].path for own in stack.each}:
        yield _finding("planes", "ifd[0]/270", "the pages are not the planes that are told of")
    if len(stack.each) == 1:
        yield from _smaller_and_smaller(levels)
        return
    for plane in planes:
        yield from _smaller_and_smaller((plane, *levels_below(plane, pages)))
    full = {plane.path for plane in planes}
    for page in levels:
        if page.ifd.kind is IfdKind.PAGE and page.path not in full:
            yield _finding("level-order", page.path, "a level that belongs to none of the planes")


def _smaller_and_smaller(levels: Sequence[Page]) -> Iterator[Finding]:
    for before, after in pairwise(levels):
        if after.size.area >= before.size.area:
            yield _finding("level-order", after.path, "a level is not smaller than the one before it")


def _tables(page: Page) -> Iterator[Finding]:
    if not page.jpeg_tables:
        return
    where = f"{page.path}/{JPEG_TABLES}"
    try:
        walked = jpeg_walk.walk_jpeg(page.jpeg_tables, where)
    except InputError:
        yield _finding("jpeg-tables", where, "the shared tables cannot be walked")
        return
    if walked.end != len(page.jpeg_tables):
        yield _finding("jpeg-tables", where, "bytes after the end of the shared tables")
    if any(segment.marker not in (DQT, DHT) or segment.filled for segment in walked.segments):
        yield _finding("jpeg-tables", where, "the shared tables hold more than tables")
    try:
        found = [t for segment in walked.segments for t in tables_of(segment.marker, segment.payload, where)]
    except InputError:
        yield _finding("jpeg-tables", where, "the shared tables do not fill their segments")
        return
    if len({table.key for table in found}) != len(found):
        yield _finding("jpeg-tables", where, "a shared table is defined twice")


def _strips(file: Bytes, page: Page) -> Iterator[Finding]:
    """Pictures beside the levels are small, so each of their strips is walked."""
    judge, judged = judge_for(page), dict[int, Judged]()
    for number, (at, size) in enumerate(zip(page.offsets.tolist(), page.counts.tolist(), strict=True)):
        if size:
            judged[number] = judge(_alone(page, number), file.read(at, size, page.path))
    for number, found in judged.items():
        for code in found.codes:
            yield _finding(code, f"{page.path}/strip[{number}]", "a strip holds more than its picture")
    if shared_keys(page) - {key for found in judged.values() for key in found.taken}:
        yield _finding("jpeg-tables", f"{page.path}/{JPEG_TABLES}", "holds a table that no strip uses")


def _alone(page: Page, number: int) -> Page:
    """The page with strips as high as this one, since the last one holds what rows are left."""
    rows = -(-page.size.height // page.tile.height)
    left = page.size.height - number % rows * page.tile.height
    return page if left >= page.tile.height else replace(page, tile=Size(page.tile.width, left))
