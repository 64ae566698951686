"""Every byte of the clean file has an owner: header, directory, value, tile, or one zero byte of alignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coverslip.errors import DamagedSlide
from coverslip.verify.limits import MAX_FINDINGS_PER_CODE
from coverslip.verify.pages import Page
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, Ledger
from coverslip.verify.tiff_walk import ARRAY_TAGS, Tiff


@dataclass(frozen=True, slots=True)
class _Claims:
    """Intervals of the file with the kind of structure that owns each; parallel arrays."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    kinds: NDArray[np.int64]


def check_ledger(file: Bytes, tiff: Tiff, pages: Sequence[Page]) -> tuple[Ledger, list[Finding]]:
    """Add up who owns the bytes; gaps, overlaps and owners outside the file are findings."""
    names, claims = _claims(tiff, pages)
    if int((claims.starts + claims.sizes).max()) > file.size:
        raise DamagedSlide("a structure points outside the file", where="ledger")
    order = np.argsort(claims.starts, kind="stable")
    starts, ends = claims.starts[order], (claims.starts + claims.sizes)[order]
    reached = np.maximum.accumulate(ends)
    before = np.concatenate(([0], reached[:-1]))
    findings = _overlaps(starts, before)
    gaps = _holes(file, starts, before, int(reached[-1]))
    unowned = [gap for gap in gaps if not _is_padding(file, gap)]
    findings += _unowned(unowned)
    owned = {name: int(claims.sizes[claims.kinds == number].sum()) for number, name in enumerate(names)}
    lost = sum(size for _, size in unowned)
    owned["padding"] = sum(size for _, size in gaps) - lost
    return Ledger(file.size, owned, lost), findings


def gaps(file: Bytes, tiff: Tiff, pages: Sequence[Page]) -> list[tuple[int, int]]:
    """Start and length of every stretch no structure owns, alignment included."""
    _, claims = _claims(tiff, pages)
    order = np.argsort(claims.starts, kind="stable")
    reached = np.maximum.accumulate((claims.starts + claims.sizes)[order])
    return _holes(file, claims.starts[order], np.concatenate(([0], reached[:-1])), int(reached[-1]))


def _claims(tiff: Tiff, pages: Sequence[Page]) -> tuple[list[str], _Claims]:
    names = ["header", "directory", "offsets and counts", "value", "tile", "strip"]
    small = [(0, tiff.header_size, 0)]
    for ifd in tiff.ifds:
        small.append((ifd.offset, ifd.size, 1))
        outside = [field for field in ifd.fields if not field.inline]
        small += [(field.offset, field.size, 2 if field.tag in ARRAY_TAGS else 3) for field in outside]
    rows = [np.array(small, dtype=np.int64)]
    tiles = [_tile_rows(page) for page in pages]
    if tiles:
        rows.append(_distinct(np.concatenate(tiles)))
    table = np.concatenate(rows)
    return names, _Claims(table[:, 0], table[:, 1], table[:, 2])


def _tile_rows(page: Page) -> NDArray[np.int64]:
    """Empty tiles own nothing; tiles stored once and named twice become one owner in `_claims`."""
    stored = page.counts > 0
    kind = np.full(int(stored.sum()), 4 if page.tiled else 5, dtype=np.int64)
    return np.stack([page.offsets[stored], page.counts[stored], kind], axis=1)


def _distinct(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row once (`numpy.unique` with an axis costs an import of 0.2 s)."""
    rows = rows[np.lexsort(rows.T)]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[new]


def _overlaps(starts: NDArray[np.int64], before: NDArray[np.int64]) -> list[Finding]:
    places = starts[starts < before][:MAX_FINDINGS_PER_CODE]
    return [Finding("ledger", "overlap", f"byte {at}", "two structures claim the same bytes") for at in places.tolist()]


def _holes(file: Bytes, starts: NDArray[np.int64], before: NDArray[np.int64], end: int) -> list[tuple[int, int]]:
    holes = np.flatnonzero(starts > before)
    gaps = [(int(before[hole]), int(starts[hole] - before[hole])) for hole in holes]
    return [*gaps, (end, file.size - end)] if file.size > end else gaps


def _is_padding(file: Bytes, gap: tuple[int, int]) -> bool:
    """One zero byte that brings the next structure to an even place (TIFF 6.0: values begin on a word boundary)."""
    start, size = gap
    return size == 1 and start % 2 == 1 and file.read(start, 1, "padding") == b"\0"


def _unowned(gaps: list[tuple[int, int]]) -> list[Finding]:
    detail = "bytes that belong to no structure"
    return [
        Finding("ledger", "unowned-bytes", f"byte {start}", f"{size} {detail}")
        for start, size in gaps[:MAX_FINDINGS_PER_CODE]
    ]
