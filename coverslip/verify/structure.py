"""Only what the verifier's own lists allow stands in a clean slide: directories, tags, texts, tables, profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from coverslip.errors import InputError
from coverslip.slide import Route
from coverslip.verify import grammar, icc, jpeg_walk, ome
from coverslip.verify.codecs import judge_for
from coverslip.verify.limits import MAX_PICTURE_PIXELS
from coverslip.verify.pages import Page, level_pages, levels_below, plane_pages
from coverslip.verify.planes import stack_of
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding
from coverslip.verify.tiff_walk import INTEGER_TYPES, TYPE_SIZES, Field, Ifd, IfdKind, Tiff, raw

DESCRIPTION, JPEG_TABLES, ICC_PROFILE = 270, 347, 34675
SAMPLES = -1
MANY = -2
ALLOWED: dict[int, int] = {
    254: 1, 256: 1, 257: 1, 258: SAMPLES, 259: 1, 262: 1, 266: 1, 270: MANY, 273: MANY, 274: 1, 277: 1, 278: 1,
    279: MANY, 282: 1, 283: 1, 284: 1, 296: 1, 317: 1, 322: 1, 323: 1, 324: MANY, 325: MANY, 330: MANY, 338: SAMPLES,
    339: SAMPLES, 347: MANY, 529: 3, 530: 2, 531: 1, 532: 6, 32997: 1, 34675: MANY,
}  # fmt: skip
"""Tag → how many values it may have. Everything else is somebody's words or nobody's business."""
RATIONAL = 5
RATIONALS = frozenset({282, 283, 529, 532})
OPAQUE = frozenset({JPEG_TABLES, ICC_PROFILE})
MAX_DESCRIPTION = 4096


def check_structure(file: Bytes, tiff: Tiff, pages: Sequence[Page], route: Route) -> list[Finding]:
    """Hold every directory, tag and picture against the verifier's lists."""
    by_ifd = {page.path: page for page in pages}
    levels = {page.path for page in level_pages(pages)}
    found: list[Finding] = []
    for ifd in tiff.ifds:
        found += _directory(file, ifd, by_ifd.get(ifd.path), is_level=ifd.path in levels)
    found += _pictures(pages, route)
    found += _planes(file, tiff, pages)
    for page in pages:
        found += _tables(page)
        if not page.tiled:
            found += _strips(file, page)
    return found


def _finding(code: str, where: str, detail: str) -> Finding:
    return Finding("structure", code, where, detail)


def _directory(file: Bytes, ifd: Ifd, page: Page | None, *, is_level: bool) -> Iterator[Finding]:
    if ifd.kind is not IfdKind.PAGE and not is_level:
        yield _finding("unexpected-directory", ifd.path, f"no clean slide has a directory of kind {ifd.kind.value}")
    if page is None:
        yield _finding("unexpected-directory", ifd.path, "a directory without a picture")
    codes = [field.tag for field in ifd.fields]
    if len(set(codes)) != len(codes):
        yield _finding("repeated-tag", ifd.path, "a tag stands twice in one directory")
    for field in ifd.fields:
        yield from _tag(file, ifd, field, page.samples if page else 1)


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
    block = first and value.startswith(b"<?xml")
    most = ome.MAX_CLEAN if block else MAX_DESCRIPTION
    if len(value) > most or not value.endswith(b"\0") or b"\0" in value[:-1] or not value.isascii():
        yield _finding("description", where, "is not one short ASCII text with one NUL at its end")
        return
    text = value[:-1].decode("ascii")
    for objection in ome.objections(text) if block else grammar.objections(text):
        yield _finding("description", where, objection)


def _pictures(pages: Sequence[Page], route: Route) -> Iterator[Finding]:
    """Levels are tiled; beside them one thumbnail and one label we drew may stand, and nothing in a converted slide."""
    levels = [page for page in pages if page.tiled]
    others = [page for page in pages if not page.tiled]
    if not levels or not pages[0].tiled:
        yield _finding("no-base-level", "ifd[0]", "the first page is not a tiled level")
    allowed = 0 if route is Route.CONVERTED else 2
    for page in others[allowed:]:
        yield _finding("unexpected-picture", page.path, "there are more pictures beside the levels than expected")
    for page in others:
        if page.size.area > MAX_PICTURE_PIXELS:
            yield _finding("unexpected-picture", page.path, "a picture beside the levels is too large")
    for column in _columns(pages):
        for before, after in pairwise(column):
            if after.size.area >= before.size.area:
                yield _finding("level-order", after.path, "a level is not smaller than the one before it")


def _columns(pages: Sequence[Page]) -> Iterator[list[Page]]:
    """Levels from the largest down: those of the chain, and those below each plane."""
    planes = plane_pages(pages)
    yield [
        *planes[:1],
        *(page for page in pages if page.tiled and page.ifd.kind is IfdKind.PAGE and page not in planes),
    ]
    for plane in planes:
        own = {page.path for page in levels_below(plane, pages)}
        yield [plane, *(page for page in pages if page.path in own)]


def _planes(file: Bytes, tiff: Tiff, pages: Sequence[Page]) -> Iterator[Finding]:
    """Several pages of the full size are planes only where the first page says which is which."""
    count = len(plane_pages(pages))
    stack = stack_of(file, tiff, pages)
    told = stack.reading.counts if stack else (1, 1, 1)
    if count != told[0] * told[1] * told[2]:
        yield _finding("planes", "ifd[0]/270", "there are not as many pages of the full size as planes are told of")


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
    allowed = {jpeg_walk.DQT, jpeg_walk.DHT, jpeg_walk.DRI}
    if any(segment.marker not in allowed for segment in walked.segments):
        yield _finding("jpeg-tables", where, "the shared tables hold more than tables")


def _strips(file: Bytes, page: Page) -> Iterator[Finding]:
    """Pictures beside the levels are small, so each of their strips is walked."""
    judge = judge_for(page)
    for number, (at, size) in enumerate(zip(page.offsets.tolist(), page.counts.tolist(), strict=True)):
        if not size:
            continue
        for code in judge(page, file.read(at, size, page.path)).codes:
            yield _finding(code, f"{page.path}/strip[{number}]", "a strip holds more than its picture")
