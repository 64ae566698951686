"""A slide written anew with some of its fields and tiles changed: for hiding one thing in a sound slide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from samples.surgery import Patient
from samples.tiffmaker import WIDTHS, Tag, TiffMaker

Tags = dict[int, Tag]
EditTags = Callable[[int, Tags], Tags]
"""From a page's number and fields to its fields."""
EditTile = Callable[[int, int, bytes], bytes]
"""From a page's number, a tile's and its bytes to its bytes."""

_DATA = ((324, 325), (273, 279))


def same_tags(page: int, tags: Tags) -> Tags:
    """Nothing changed."""
    return tags


def same_tile(page: int, number: int, data: bytes) -> bytes:
    """Nothing changed."""
    return data


def remake(source: bytes, target: Path, *, tags: EditTags = same_tags, tile: EditTile = same_tile) -> Path:
    """Write the pages of a little-endian TIFF to `target`, each field and each tile as the edits leave it."""
    patient = Patient(source)
    with TiffMaker(target, big=patient.big) as maker:
        for page in range(len(patient.pages)):
            maker.ifd(list(tags(page, _page(patient, page, maker, tile)).values()))
    return target


def _page(patient: Patient, page: int, maker: TiffMaker, edit: EditTile) -> Tags:
    entries = patient.pages[page][2]
    found = {
        code: Tag(
            code, entry.type, bytes(patient.data[entry.value_at : entry.value_at + entry.count * WIDTHS[entry.type]])
        )
        for code, entry in entries.items()
    }
    for where, length in _DATA:
        if where not in entries:
            continue
        places, lengths = [], []
        for number in range(entries[where].count):
            at, size = patient.number(page, where, number), patient.number(page, length, number)
            data = edit(page, number, bytes(patient.data[at : at + size]))
            places.append(maker.write(data))
            lengths.append(len(data))
        found |= {where: maker.pointers(where, places), length: maker.pointers(length, lengths)}
    return found


def first_tile(change: Callable[[bytes], bytes]) -> EditTile:
    """An edit of the base level's first tile."""
    return lambda page, number, data: change(data) if page == number == 0 else data


def base_tags(*new: Tag) -> EditTags:
    """An edit that gives the first page these fields."""
    return lambda page, tags: {**tags, **{tag.code: tag for tag in new}} if page == 0 else tags


def base_tag(code: int, change: Callable[[bytes], bytes]) -> EditTags:
    """An edit of the bytes of one of the first page's fields."""

    def edit(page: int, tags: Tags) -> Tags:
        old = tags.get(code)
        if page or old is None or not isinstance(old.values, bytes):
            return tags
        return {**tags, code: Tag(code, old.type, change(old.values))}

    return edit
