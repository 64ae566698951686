"""No removed value and no known identifier stands anywhere in the clean file, in whatever form."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np

from coverslip.verify import ome
from coverslip.verify.claim import Secret
from coverslip.verify.forms import MIN_LENGTH, Judge, Ordinary, patterns, wanted
from coverslip.verify.limits import MAX_FINDINGS_PER_CODE
from coverslip.verify.pages import Page
from coverslip.verify.parts import parts
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, LeakProof, LeakSummary
from coverslip.verify.search import Searcher
from coverslip.verify.stretches import samples, stretches, to_read
from coverslip.verify.tiff_walk import ARRAY_TAGS, Tiff, raw
from coverslip.verify.unpack import Unpacked

Looked = str | bytes
"""What a value is looked for as: a text in every way it could be written, bytes as they stand."""
Owners = Set[int]
"""Numbers of the secrets that something belongs to."""

PIECE = 8 << 20
SHORTEST_IN_SCAN = 8
"""In entropy-coded data shorter patterns turn up by chance."""


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes to search, with the place they stand at."""

    where: str
    start: int
    data: bytes


class Hunt:
    """All secrets compiled into one searcher, and what it found so far. Safe to share between threads."""

    def __init__(self, secrets: Sequence[Secret], kept_words: Iterable[str], standing: Iterable[bytes] = ()) -> None:
        """Decide for each secret how it can be proved gone; what is `standing`, whole, is proved by structure."""
        ordinary = cache(Ordinary(kept_words))  # many values share a part
        known: dict[bytes, frozenset[Looked]] = dict.fromkeys(standing, frozenset())
        looked: defaultdict[Looked, set[int]] = defaultdict(set)
        for number, secret in enumerate(secrets):
            if secret.untrusted_value not in known:
                known[secret.untrusted_value] = _looked(secret.untrusted_value, ordinary)
            for each in known[secret.untrusted_value]:
                looked[each].add(number)
        self.secrets = secrets
        self.forms: Counter[int] = Counter()
        """How many each secret is looked for in; none of what is proved by structure."""
        owned = self._owned(looked)
        self._searcher = Searcher(owned)
        texts = {number for number, secret in enumerate(secrets) if _is_text(secret.untrusted_value)}
        self._words = self._searcher.only(
            {form: owners for form, owners in owned.items() if not texts.isdisjoint(owners)}
        )
        self.hits: Counter[tuple[int, str]] = Counter()
        self.searched = 0
        self._counting = Lock()

    def _owned(self, looked: Mapping[Looked, Owners]) -> dict[bytes, Owners]:
        """Each form with its owners; many secrets share a text, but hardly ever do two texts share a form."""
        owned: dict[bytes, Owners] = {}
        for each, owners in looked.items():
            forms = patterns(each) if isinstance(each, str) else {each}
            shared = {form: owned[form] for form in owned.keys() & forms}
            owned.update(dict.fromkeys(forms, owners))
            self.forms.update(dict.fromkeys(owners, len(forms)))
            for form, others in shared.items():
                owned[form] = owners | others
                self.forms.subtract(owners & others)
        return owned

    def search(self, data: bytes, where: str, shortest: int = MIN_LENGTH) -> None:
        """Search bytes that stand at one place."""
        self._count(len(data), [(owners, where) for _, owners in self._searcher.find(data, shortest)])

    def search_scan(self, data: bytes) -> None:
        """Search a tile that is not proved to be the source's."""
        self.search(data, "tiles", SHORTEST_IN_SCAN)

    def search_proved(self, data: bytes) -> None:
        """Search bytes of tiles that are the source's own, for words only: the source may hold a tile twice, and the
        copy that nothing points to is a removed value."""
        self._count(len(data), [(owners, "tiles") for _, owners in self._words.find(data, SHORTEST_IN_SCAN)])

    def search_file(self, file: Bytes, start: int, size: int, places: _Places) -> None:
        """Search a stretch of the file and name the structure around each hit."""
        for at in range(start, start + size, PIECE):
            data = file.read(at, min(PIECE + 4096, start + size - at), "search")
            found = [(owners, places.at(at + position)) for position, owners in self._searcher.find(data)]
            self._count(min(PIECE, len(data)), found)

    def _count(self, searched: int, found: Sequence[tuple[Owners, str]]) -> None:
        with self._counting:
            self.searched += searched
            self.hits.update((secret, where) for owners, where in found for secret in owners)

    def summary(self) -> LeakSummary:
        """How each secret is known to be gone."""
        hits: Counter[int] = Counter()
        for (secret, _), count in self.hits.items():
            hits[secret] += count
        proofs = tuple(
            LeakProof(secret.path, "searched" if self.forms[number] else "structure", self.forms[number], hits[number])
            for number, secret in enumerate(self.secrets)
        )
        return LeakSummary(proofs, self.searched)

    def findings(self) -> list[Finding]:
        """One finding per secret and place."""
        found = [
            Finding("leaks", "secret-found", where, f"a removed value of {self.secrets[secret].path} stands here")
            for secret, where in sorted(self.hits)
        ]
        return found[: 10 * MAX_FINDINGS_PER_CODE]


def _looked(value: bytes, ordinary: Judge) -> frozenset[Looked]:
    words, value = ome.unfolded(value)
    return _looked_outside(value, ordinary).union(*(wanted(word.encode(), ordinary) for word in words))


def _looked_outside(value: bytes, ordinary: Judge) -> frozenset[Looked]:
    if _is_text(value):
        return frozenset(wanted(value, ordinary))
    apart = stretches(value)
    insides = (inside for stretch in to_read(apart) for inside in (stretch, *parts(stretch)))
    return frozenset(samples(apart)).union(*(wanted(inside, ordinary) for inside in insides))


def _is_text(value: bytes) -> bool:
    try:
        return value.decode("utf-8").isprintable() or not any(byte < 9 for byte in value)
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True, slots=True)
class _Places:
    """Which structure stands at a byte."""

    starts: list[int]
    names: list[str]

    def at(self, position: int) -> str:
        """The structure that begins last before this byte."""
        return self.names[max(0, bisect_right(self.starts, position) - 1)]


def search_outside_levels(hunt: Hunt, file: Bytes, tiff: Tiff, levels: Sequence[Page], others: Sequence[Page]) -> bool:
    """Search all bytes that are no stored tile, and what they unpack to; False when there was too much to unpack."""
    places = _places(tiff, others)
    for start, size in _outside(file, levels):
        hunt.search_file(file, start, size, places)
    unpacked = Unpacked()
    for region in _values(file, tiff, others):
        for layer in unpacked.layers(region.data):
            hunt.search(layer, f"{region.where} (unpacked)")
    return not unpacked.exhausted


def search_headers(hunt: Hunt, headers: Iterable[tuple[str, bytes]]) -> None:
    """Search each distinct header of the tiles."""
    for where, header in headers:
        hunt.search(header, where)


def _places(tiff: Tiff, others: Sequence[Page]) -> _Places:
    rows = [(0, "header")]
    for ifd in tiff.ifds:
        rows.append((ifd.offset, ifd.path))
        rows += [(field.offset, f"{ifd.path}/{field.tag}") for field in ifd.fields]
    rows += [(int(at), f"{page.path}/{page.piece}s") for page in others for at in page.offsets]
    rows.sort()
    return _Places([row[0] for row in rows], [row[1] for row in rows])


def _outside(file: Bytes, levels: Sequence[Page]) -> Iterator[tuple[int, int]]:
    """Stretches between the stored tiles; a single byte of alignment is the ledger's business."""
    offsets = np.concatenate([page.offsets[page.counts > 0] for page in levels] or [np.zeros(0, np.int64)])
    counts = np.concatenate([page.counts[page.counts > 0] for page in levels] or [np.zeros(0, np.int64)])
    order = np.argsort(offsets, kind="stable")
    ends = np.concatenate(([0], np.maximum.accumulate((offsets + counts)[order])))
    starts = np.concatenate((offsets[order], [file.size]))
    for gap in np.flatnonzero(starts - ends > 1):
        yield int(ends[gap]), int(starts[gap] - ends[gap])


def _values(file: Bytes, tiff: Tiff, others: Sequence[Page]) -> Iterator[Region]:
    for ifd in tiff.ifds:
        for field in ifd.fields:
            if field.tag not in ARRAY_TAGS and not field.inline:
                yield Region(f"{ifd.path}/{field.tag}", field.offset, raw(file, ifd, field))
    for page in others:
        for number, (at, size) in enumerate(zip(page.offsets.tolist(), page.counts.tolist(), strict=True)):
            yield Region(f"{page.path}/{page.piece}[{number}]", at, file.read(at, min(size, PIECE), page.path))
