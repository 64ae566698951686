"""No removed value and no known identifier stands anywhere in the clean file, in whatever form."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock

import numpy as np

from coverslip.verify import ome
from coverslip.verify.claim import Secret
from coverslip.verify.forms import MIN_LENGTH, Ordinary, patterns, wanted
from coverslip.verify.limits import MAX_FINDINGS_PER_CODE
from coverslip.verify.pages import Page
from coverslip.verify.parts import parts
from coverslip.verify.reading import Bytes
from coverslip.verify.report import Finding, LeakProof, LeakSummary
from coverslip.verify.search import Searcher
from coverslip.verify.stretches import samples, stretches, to_read
from coverslip.verify.tiff_walk import ARRAY_TAGS, Tiff, raw
from coverslip.verify.unpack import Unpacked

Written = Callable[[str], set[bytes]]
"""Says every way a text could be written."""

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
        ordinary, written = Ordinary(kept_words), cache(patterns)  # many values share a part
        self.secrets = secrets
        known: dict[bytes, frozenset[bytes]] = dict.fromkeys(standing, frozenset())
        for secret in secrets:
            if secret.untrusted_value not in known:
                known[secret.untrusted_value] = _forms(secret.untrusted_value, ordinary, written)
        self.forms = [known[secret.untrusted_value] for secret in secrets]
        self._owners = [[number] for number in range(len(secrets))]
        numbered = self._numbered()
        self._searcher = Searcher(numbered)
        words = {
            form
            for secret, forms in zip(secrets, self.forms, strict=True)
            if _is_text(secret.untrusted_value)
            for form in forms
        }
        self._words = Searcher({form: number for form, number in numbered.items() if form in words})
        self.hits: Counter[tuple[int, str]] = Counter()
        self.searched = 0
        self._counting = Lock()

    def _numbered(self) -> dict[bytes, int]:
        """Each form with the number of its owners; a secret's own number stands for itself alone."""
        numbers: dict[bytes, int] = {}
        for secret, forms in enumerate(self.forms):
            for form in forms:
                owner = numbers.setdefault(form, secret)
                if owner >= len(self.forms):
                    self._owners[owner].append(secret)
                elif owner != secret:
                    numbers[form] = len(self._owners)
                    self._owners.append([owner, secret])
        return numbers

    def search(self, data: bytes, where: str, shortest: int = MIN_LENGTH) -> None:
        """Search bytes that stand at one place."""
        self._count(len(data), [(owner, where) for _, owner in self._searcher.find(data, shortest)])

    def search_scan(self, data: bytes) -> None:
        """Search a tile that is not proved to be the source's."""
        self.search(data, "tiles", SHORTEST_IN_SCAN)

    def search_proved(self, data: bytes) -> None:
        """Search bytes of tiles that are the source's own, for words only: the source may hold a tile twice, and the
        copy that nothing points to is a removed value."""
        self._count(len(data), [(owner, "tiles") for _, owner in self._words.find(data, SHORTEST_IN_SCAN)])

    def search_file(self, file: Bytes, start: int, size: int, places: _Places) -> None:
        """Search a stretch of the file and name the structure around each hit."""
        for at in range(start, start + size, PIECE):
            data = file.read(at, min(PIECE + 4096, start + size - at), "search")
            found = [(owner, places.at(at + position)) for position, owner in self._searcher.find(data)]
            self._count(min(PIECE, len(data)), found)

    def _count(self, searched: int, found: Sequence[tuple[int, str]]) -> None:
        with self._counting:
            self.searched += searched
            self.hits.update((secret, where) for owner, where in found for secret in self._owners[owner])

    def summary(self) -> LeakSummary:
        """How each secret is known to be gone."""
        hits: Counter[int] = Counter()
        for (secret, _), count in self.hits.items():
            hits[secret] += count
        proofs = tuple(
            LeakProof(secret.path, "searched" if forms else "structure", len(forms), hits[number])
            for number, (secret, forms) in enumerate(zip(self.secrets, self.forms, strict=True))
        )
        return LeakSummary(proofs, self.searched)

    def findings(self) -> list[Finding]:
        """One finding per secret and place."""
        found = [
            Finding("leaks", "secret-found", where, f"a removed value of {self.secrets[secret].path} stands here")
            for secret, where in sorted(self.hits)
        ]
        return found[: 10 * MAX_FINDINGS_PER_CODE]


def _forms(value: bytes, ordinary: Ordinary, written: Written) -> frozenset[bytes]:
    words, value = ome.unfolded(value)
    found = (written(text) for word in words for text in wanted(word.encode(), ordinary))
    return _forms_outside(value, ordinary, written).union(*found)


def _forms_outside(value: bytes, ordinary: Ordinary, written: Written) -> frozenset[bytes]:
    if _is_text(value):
        return frozenset().union(*map(written, wanted(value, ordinary)))
    apart = stretches(value)
    insides = (inside for stretch in to_read(apart) for inside in (stretch, *parts(stretch)))
    found = {text for inside in insides for text in wanted(inside, ordinary)}
    return frozenset().union(*map(written, found), samples(apart))


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
