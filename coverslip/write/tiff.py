"""The clean slide in its own TIFF container: an empty file, the elements the plan keeps, and the tiles copied.

Layout: header, all directories with their values, then tile data page by page in the order the source had it, so that
runs of tiles are copied in one piece and a reader over a network finds everything it needs at the front. Classic TIFF
stays classic and BigTIFF stays BigTIFF. Source: TIFF 6.0 §2, §15; the BigTIFF proposal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from coverslip.codestreams import icc
from coverslip.elements import ElementPath, ImageRole
from coverslip.errors import LimitExceeded, UnknownStructure
from coverslip.formats.contract import Page
from coverslip.formats.tiff_slide import TiffSlide
from coverslip.geometry import Size
from coverslip.policy import Keep, Plan, Replace
from coverslip.progress import Progress, Stage, silent
from coverslip.tiff import tags as t
from coverslip.tiff.blocks import Blocks
from coverslip.tiff.structure import Directory
from coverslip.write import fields as f
from coverslip.write.emit import Emitter
from coverslip.write.numbers import KEPT, kept_field
from coverslip.write.thumbnail import thumbnail

CLASSIC_LIMIT: Final = (1 << 32) - (1 << 20)

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _OutPage:
    """A page to be written: its fields but for where its data lies, and the data itself."""

    fields: list[f.OutField]
    tiled: bool
    path: str
    """Of the page it is made from."""
    lengths: Offsets
    blocks: Blocks | None
    """Tiles copied from the source; None when `data` holds the page's only strip."""
    order: Offsets
    """Indices of `lengths` that get bytes of their own, in the order they are written."""
    same_as: Offsets
    """For each tile the tile whose bytes it shares, usually itself."""
    data: bytes = field(default=b"", repr=False)

    @property
    def above(self) -> str:
        """The page this one hangs below as a SubIFD (OME-TIFF's way of storing levels); empty in the chain of pages."""
        parent, dot, _ = self.path.rpartition(".")
        return f"{parent}]" if dot else ""


def write_tiff(slide: TiffSlide, plan: Plan, target: Path, *, progress: Progress = silent) -> None:
    """Write the clean slide to `target`, which must not exist; it is complete, but not yet flushed to the disk.

    Raises InputError for a source that cannot be written, StorageFailed or StorageFull for the disk, Cancelled.
    """
    _check_whole(slide, plan)
    pages = [_out_page(slide, page, plan) for page in slide.pages if _appears(page, plan)]
    order, big = slide.tiff.order, slide.tiff.big
    front, placed = _layout(pages, order, big)
    with Emitter(target) as out:
        out.add(front)
        total, done = max(1, placed), len(front)
        for page in pages:
            for length in _emit(page, slide.tiff.fd, out):
                done += length
                progress(Stage.WRITE, min(1.0, done / total))


def _check_whole(slide: TiffSlide, plan: Plan) -> None:
    """Raise UnknownStructure unless something is left to look at, and every plane of a slide with several."""
    levels = {page.directory.path: plan.keeps(page.path) for page in slide.pages if page.is_level}
    if not any(levels.values()):
        raise UnknownStructure("the policy keeps no level of the pyramid")
    planes = [levels[page.directory.path] for page in slide.pages if page.role is ImageRole.BASE]
    if not all(planes) and (len(planes) > 1 or any("." in path for path in levels)):
        raise UnknownStructure("the policy keeps some planes, or levels, and not what belongs to them")


def _appears(page: Page, plan: Plan) -> bool:
    return isinstance(plan.action(page.path), Keep | Replace)


def _kept_levels(slide: TiffSlide, plan: Plan) -> list[Directory]:
    return [level.directory for level in slide.levels if isinstance(plan.action(level.path), Keep)]


def _out_page(slide: TiffSlide, page: Page, plan: Plan) -> _OutPage:
    match plan.action(page.path):
        case Keep():
            return _copied(slide, page, plan)
        case _:
            return _regenerated(slide, page, plan)


def _copied(slide: TiffSlide, page: Page, plan: Plan) -> _OutPage:
    directory = page.directory
    kept = (code for code in sorted(KEPT) if plan.keeps(f"{directory.path}/{t.name_of(code)}"))
    fields = [found for code in kept if (found := kept_field(directory, code))]
    fields.extend(_rebuilt_fields(slide, page, plan))
    blocks = slide.blocks(directory)
    order, same_as = _physical_order(directory.offsets.astype(np.int64), blocks)
    return _OutPage(fields, directory.tiled, directory.path, blocks.lengths, blocks, order, same_as)


def _rebuilt_fields(slide: TiffSlide, page: Page, plan: Plan) -> Iterator[f.OutField]:
    """Description, JPEG tables and colour profile, each from its parsed parts."""
    directory = page.directory
    yield from _description(slide, page, plan)
    tables = slide.blocks(directory).tables
    if tables and plan.keeps(f"{directory.path}/JPEGTables"):
        yield f.OutField(t.JPEG_TABLES, t.UNDEFINED, tables)
    if plan.keeps(f"{directory.path}/ICCProfile/transform"):
        yield f.OutField(t.ICC_PROFILE, t.UNDEFINED, icc.clean(icc.parse(directory.raw(t.ICC_PROFILE))))


def _description(slide: TiffSlide, page: Page, plan: Plan) -> Iterator[f.OutField]:
    description = slide.description(page.directory)
    if description is not None:
        path = ElementPath(f"{page.directory.path}/ImageDescription")
        value = description.rebuild(path, plan.keeps)
        if value:
            yield f.text(t.IMAGE_DESCRIPTION, value)


def _regenerated(slide: TiffSlide, page: Page, plan: Plan) -> _OutPage:
    """A thumbnail of the source's size, as one strip (TIFF Technical Note 2)."""
    smallest = min(_kept_levels(slide, plan), key=lambda level: level.size.area)
    size, data = thumbnail(slide.tiff, smallest, page.directory.size)
    order = slide.tiff.order
    fields = [f.integer(order, code, *values) for code, values in _thumbnail_fields(size).items()]
    fields.extend(_description(slide, page, plan))
    one = np.zeros(1, np.int64)
    return _OutPage(fields, False, page.directory.path, np.array([len(data)], np.int64), None, one, one, data)


def _thumbnail_fields(size: Size) -> dict[int, tuple[int, ...]]:
    return {
        t.NEW_SUBFILE_TYPE: (0,), t.IMAGE_WIDTH: (size.width,), t.IMAGE_LENGTH: (size.height,),
        t.BITS_PER_SAMPLE: (8, 8, 8), t.COMPRESSION: (7,), t.PHOTOMETRIC: (6,), t.SAMPLES_PER_PIXEL: (3,),
        t.ROWS_PER_STRIP: (size.height,), t.PLANAR_CONFIGURATION: (1,), t.YCBCR_SUBSAMPLING: (1, 1),
    }  # fmt: skip


def _physical_order(offsets: Offsets, blocks: Blocks) -> tuple[Offsets, Offsets]:
    """Tiles in the order the source stores them; tiles that share bytes there (blank ones) share them here."""
    _, first, inverse = np.unique(offsets, return_index=True, return_inverse=True)
    same_as = first[inverse].astype(np.int64)
    own = first.astype(np.int64)
    return own[blocks.lengths[own] > 0], same_as


def _layout(pages: list[_OutPage], order: str, big: bool) -> tuple[bytes, int]:
    """Header and directories as bytes, and the size the whole file will have."""
    header = 16 if big else 8
    blank = [np.zeros_like(page.lengths) for page in pages]
    starts = [0] * (len(pages) + 1)
    heads = [f.encoded_size(_all_fields(pages, i, blank[i], starts, order, big), big) for i in range(len(pages))]
    starts = np.concatenate([[header], header + np.cumsum(heads)]).tolist()
    at = int(starts[-1])
    front = bytearray(_header(order, big, starts[0]))
    for i, page in enumerate(pages):
        offsets, at = _place(page, at)
        fields = _all_fields(pages, i, offsets, starts, order, big)
        front += f.encode_directory(fields, order, big, starts[i], _following(pages, i, starts))
    if not big and at > CLASSIC_LIMIT:
        raise LimitExceeded("the clean slide does not fit into a classic TIFF")
    return bytes(front), at


def _following(pages: list[_OutPage], i: int, starts: list[int]) -> int:
    """Where the next page of the chain begins; SubIFDs are not in the chain."""
    if pages[i].above:
        return 0
    return next((starts[k] for k in range(i + 1, len(pages)) if not pages[k].above), 0)


def _all_fields(
    pages: list[_OutPage], i: int, offsets: Offsets, starts: list[int], order: str, big: bool
) -> list[f.OutField]:
    """A page's fields with those that say where things lie."""
    fields = [*pages[i].fields, *_data_fields(pages[i], offsets, order, big)]
    below = [starts[k] for k, page in enumerate(pages) if page.above and page.above == pages[i].path]
    if below:
        kind, form = (t.LONG8, "u8") if big else (t.LONG, "u4")
        fields.append(f.OutField(t.SUB_IFDS, kind, np.array(below, order + form).tobytes()))
    return fields


def _place(page: _OutPage, at: int) -> tuple[Offsets, int]:
    """Offset of every tile when the page's data begins at `at`, and where it ends."""
    written = page.lengths[page.order]
    offsets = np.zeros_like(page.lengths)
    offsets[page.order] = at + np.cumsum(written) - written
    return offsets[page.same_as], at + int(written.sum())


def _data_fields(page: _OutPage, offsets: Offsets, order: str, big: bool) -> list[f.OutField]:
    where, length = (t.TILE_OFFSETS, t.TILE_BYTE_COUNTS) if page.tiled else (t.STRIP_OFFSETS, t.STRIP_BYTE_COUNTS)
    wide, form = (t.LONG8, "u8") if big else (t.LONG, "u4")
    return [
        f.OutField(where, wide, offsets.astype(order + form).tobytes()),
        f.OutField(length, t.LONG, page.lengths.astype(order + "u4").tobytes()),
    ]


def _header(order: str, big: bool, first: int) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, first)
    return mark + struct.pack(order + "HI", 42, first)


def _emit(page: _OutPage, source: int, out: Emitter) -> Iterator[int]:
    """Write a page's data; yields how many bytes each step took."""
    if page.blocks is None:
        out.add(page.data)
        yield len(page.data)
        return
    for first, last, plain in _runs(page.blocks, page.order):
        tiles = page.order[first:last]
        if plain:
            out.copy(source, int(page.blocks.start[tiles[0]]), int(page.blocks.stop[tiles[-1]]))
        else:
            _emit_pieces(page.blocks, tiles, source, out)
        yield int(page.lengths[tiles].sum())


def _runs(blocks: Blocks, order: Offsets) -> Iterator[tuple[int, int, bool]]:
    """Stretches of tiles that lie back to back and are copied as they are, and stretches that are not."""
    if not len(order):
        return
    start, stop = blocks.start[order], blocks.stop[order]
    plain = blocks.prefix[order] < 0
    if blocks.rebuilt:
        plain &= ~np.isin(order, np.fromiter(blocks.rebuilt, np.int64))
    breaks = (plain[1:] != plain[:-1]) | (plain[1:] & (start[1:] != stop[:-1]))
    edges = np.concatenate([[0], np.flatnonzero(breaks) + 1, [len(order)]]).tolist()
    for first, last in pairwise(edges):
        if plain[first]:
            yield first, last, True
        else:
            yield from ((at, min(last, at + 1024), False) for at in range(first, last, 1024))


def _emit_pieces(blocks: Blocks, tiles: Offsets, source: int, out: Emitter) -> None:
    for tile in tiles.tolist():
        pieces = blocks.rebuilt.get(tile)
        if pieces is None:
            out.add(blocks.prefixes[int(blocks.prefix[tile])])
            out.copy(source, int(blocks.start[tile]), int(blocks.stop[tile]))
            continue
        for piece in pieces:
            if isinstance(piece, bytes):
                out.add(piece)
            else:
                out.copy(source, piece.start, piece.stop)
