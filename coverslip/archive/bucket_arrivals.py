"""Uploads that arrive in a bucket: sealed frame by frame, kept as parts of the file they become.

A part holds 32 MiB of plain text. What comes of the next one waits in a nameless file on this disk; each time an offset
is promised, what is new of it is kept as a small file of its own in the bucket. So whatever was promised can be gone on
with by any front end, and nothing but frames ever leaves this process's memory. When the part is full it is sent, and
its pieces are deleted (docs/decisions/0016-uploads-in-a-bucket.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from coverslip.archive.catalog import Catalog
from coverslip.archive.frames import FRAME
from coverslip.archive.originals import Check, Originals, Sealed, sha256_of, upload_of
from coverslip.archive.pieces import Arrival, KeptPart, KeptPiece
from coverslip.archive.records import Upload
from coverslip.archive.sealing import STRIDE, Sealer
from coverslip.archive.spool import Spool, Window
from coverslip.archive.store import PartStore
from coverslip.archive.uploads import OPEN
from coverslip.errors import NotFound, OriginalDamaged, OutputExists, StateConflict, StorageFailed

PART: Final = 512 * FRAME
"""Bytes of plain text in a part: 32 MiB. All parts but the last are equally long, as some servers want it."""
MOST: Final = 10_000
"""Parts a bucket takes of one file."""
FETCH: Final = 128 * STRIDE
"""Bytes of a piece fetched at once."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is new of a part that is not full: to be kept as a piece."""

    start: int
    stop: int
    body: Window


@dataclass(frozen=True, slots=True)
class _Mark:
    """Something to keep: parts that were filled, and what is new of the next one."""

    offset: int
    full: tuple[_Growing, ...]
    cut: _Cut | None


class BucketArrivals:
    """Parts in the store of the originals, pieces in a store beside it."""

    largest = MOST * PART
    on_disk = False

    def __init__(
        self, catalog: Catalog, originals: Originals, store: PartStore, pieces: PartStore, scratch: Path
    ) -> None:
        """`store` is the originals'; `scratch` is a folder for nameless files."""
        self.catalog, self.originals, self.store, self.pieces = catalog, originals, store, pieces
        self.scratch = scratch

    def begin(self, uid: str) -> int:
        """See `Arrivals.begin`."""
        return self.catalog.begin_patch(uid)

    def writer(self, upload: Upload, generation: int) -> BucketWriter:
        """See `Arrivals.writer`."""
        new = self.originals.new(upload.uid)
        arrival = self.catalog.arrivals.begin(upload.uid, generation, new.name, new.wrapped)
        return BucketWriter(self, arrival, upload, generation)

    def seal(self, upload: Upload, check: Check) -> Sealed:
        """See `Arrivals.seal`: complete the file, read it back, and judge its digest."""
        arrival = self.catalog.arrivals.get(upload.uid)
        if arrival is None or arrival.wrapped is None or arrival.token is None:
            raise StateConflict("The upload is over.")
        sealed = Sealed(arrival.name, arrival.wrapped)
        try:
            self.store.complete(arrival.name, arrival.token, [each.part for each in arrival.parts])
            found = sha256_of(self.originals.open(upload.uid, sealed).pieces())
        except (OriginalDamaged, OutputExists, NotFound):
            if self.catalog.upload(upload.uid).state == OPEN:
                check("")  # the bucket lost or changed what it had acknowledged: no digest is that of what was sent
            raise
        check(found)
        return sealed

    def discard(self, sealed: Sealed) -> None:
        """See `Arrivals.discard`: nothing, for a newer request may need it. It goes when the upload ends."""

    def drop(self, uid: str) -> None:
        """See `Arrivals.drop`."""
        arrival = self.catalog.arrivals.get(uid)
        if arrival is not None:
            if arrival.token is not None:
                self.store.abort(arrival.name, arrival.token)
            self.store.remove(arrival.name)
        for kept in list(self.pieces.names(f"{uid}.")):
            self.pieces.remove(kept.name)
        if arrival is not None:
            self.catalog.arrivals.forget(uid)

    def ended(self) -> tuple[str, ...]:
        """See `Arrivals.ended`."""
        return self.catalog.arrivals.ended()

    def lying(self) -> frozenset[str]:
        """See `Arrivals.lying`; what lies there in parts nobody sees."""
        return frozenset(upload_of(kept.name) for kept in self.pieces.names())

    def collect(self, before: datetime) -> int:
        """See `Arrivals.collect`: pieces that a writer put there and no row names, or names no more."""
        found = list(self.pieces.names())
        known = self.catalog.arrivals.known().pieces
        dead = self.catalog.of_known_uploads(
            [each.name for each in found if each.since < before and each.name not in known]
        )
        for name in dead:
            self.pieces.remove(name)
        return len(dead) + self.pieces.abandon(before)


class _Growing:
    """One part while it fills: the pieces that were kept by earlier requests, then whole frames, then what is left."""

    def __init__(self, sealer: Sealer, spool: Spool, start: int, stop: int, pieces: tuple[KeptPiece, ...]) -> None:
        """The part of `start` to `stop`; `pieces` cover what is there of it, `rest` has to be given."""
        self.start, self.stop, self.pieces = start, stop, pieces
        self._sealer, self.spool = sealer, spool
        self.offset = pieces[-1].stop if pieces else start
        self.spooled = self.offset // FRAME * FRAME if pieces else start
        """Where the first frame in the spool begins; it takes the place of half a frame in the last piece."""
        self.rest = bytearray()
        """Plain text of the frame that is not whole yet."""

    def add(self, data: memoryview) -> int:
        """Take what fits; returns how much that was."""
        taken = data[: self.stop - self.offset]
        self.rest += taken
        number = (self.offset + len(taken) - len(self.rest)) // FRAME
        self.offset += len(taken)
        whole = len(self.rest) if self.is_full else len(self.rest) // FRAME * FRAME
        if whole:
            with memoryview(self.rest) as plain:
                frames = (plain[at : min(at + FRAME, whole)] for at in range(0, whole, FRAME))
                sealed = b"".join(self._sealer.seal(n, frame) for n, frame in enumerate(frames, number))
            self.spool.add(sealed)
            del self.rest[:whole]
        return len(taken)

    @property
    def is_full(self) -> bool:
        """Whether it can be sent."""
        return self.offset == self.stop

    def cut(self, since: int) -> _Cut:
        """What is new since the offset that was kept last, from the beginning of a frame."""
        start = since // FRAME * FRAME
        rest = self._sealer.seal((self.offset - len(self.rest)) // FRAME, bytes(self.rest)) if self.rest else b""
        body = self.spool.window((start - self.spooled) // FRAME * STRIDE, self.spool.size, rest)
        return _Cut(start, self.offset, body)

    def stored_spans(self) -> Iterator[tuple[KeptPiece, int]]:
        """The pieces, each with how many of its bytes come before the next one."""
        following = (*(piece.start for piece in self.pieces[1:]), self.spooled)
        for piece, stop in zip(self.pieces, following, strict=True):
            yield piece, (stop - piece.start) // FRAME * STRIDE


class BucketWriter:
    """See `Writer`. A promise is kept in the bucket before the catalogue says so."""

    def __init__(self, arrivals: BucketArrivals, arrival: Arrival, upload: Upload, generation: int) -> None:
        """Go on where the upload is; raises `StorageFailed`, or `StateConflict` when it is over."""
        if arrival.wrapped is None:
            raise StateConflict("The upload is over.")
        self.offset = self._asked = upload.offset
        self._at, self._uid, self._length = arrivals, upload.uid, upload.length
        self._generation, self._name, self._token = generation, arrival.name, arrival.token
        key = arrivals.originals.key(upload.uid, Sealed(arrival.name, arrival.wrapped))
        self._sealer = Sealer(key, upload.uid, upload.length)
        self._sent = len(arrival.parts)
        self._full: list[_Growing] = []
        self._part = self._next(arrival.stop, arrival.pieces)
        if self._part.offset != upload.offset:
            raise StorageFailed("What the bucket holds of it does not end where it should.", where="upload")
        self._fetch_rest()

    def write(self, data: bytes) -> None:
        """See `Writer.write`."""
        left = memoryview(data)
        if self.offset + len(left) > self._length:
            raise StateConflict("An upload never passes its announced length.")
        while left:
            left = left[self._part.add(left) :]
            self.offset = self._part.offset
            if self._part.is_full:
                if self._part.stop == self._length:
                    self._part.spool.add(self._sealer.facts)
                self._full.append(self._part)
                self._part = self._next(self._part.stop, ())

    def mark(self) -> object:
        """See `Writer.mark`."""
        since = max(self._asked, self._part.start)
        cut = self._part.cut(since) if self.offset > since else None
        full, self._full = tuple(self._full), []
        self._asked = self.offset
        return _Mark(self.offset, full, cut)

    def keep(self, mark: object) -> None:
        """See `Writer.keep`."""
        assert isinstance(mark, _Mark)
        try:
            kept: list[KeptPart | KeptPiece] = [self._send(part) for part in mark.full]
        finally:
            for part in mark.full:
                part.spool.close()
        if mark.cut is not None:
            kept.append(self._put(mark.cut))
        for name in self._at.catalog.arrivals.advance(self._uid, self._generation, mark.offset, kept):
            with suppress(StorageFailed):  # no row names it any more: it is collected
                self._at.pieces.remove(name)

    def close(self) -> None:
        """See `Writer.close`."""
        for part in (*self._full, self._part):
            part.spool.close()

    def _next(self, start: int, pieces: tuple[KeptPiece, ...]) -> _Growing:
        stop = min(start + PART, self._length)
        return _Growing(self._sealer, Spool(self._at.scratch), start, stop, pieces)

    def _fetch_rest(self) -> None:
        """The plain text of the frame an earlier request left half."""
        part = self._part
        missing = part.offset - part.spooled
        if missing:
            piece = part.pieces[-1]
            at = (part.spooled - piece.start) // FRAME * STRIDE
            stored = self._at.pieces.read(piece.name, missing + STRIDE - FRAME, at)
            part.rest += self._sealer.open(part.spooled // FRAME, stored)

    def _send(self, part: _Growing) -> KeptPart:
        """A part that is full, wherever its beginning lies."""
        if self._token is None:
            self._token = self._begin()
        with ExitStack() as stack:
            whole = part.spool
            if part.pieces:
                whole = Spool(self._at.scratch)
                stack.callback(whole.close)
                self._assemble(part, whole)
            sent = self._at.store.send(self._name, self._token, self._sent + 1, whole.window(0, whole.size))
        self._sent += 1
        return KeptPart(part.start, part.stop, sent)

    def _assemble(self, part: _Growing, whole: Spool) -> None:
        """Put what lies in the bucket before what lies here."""
        for piece, length in part.stored_spans():
            for at in range(0, length, FETCH):
                whole.add(self._at.pieces.read(piece.name, min(FETCH, length - at), at))
        whole.append(part.spool.window(0, part.spool.size))

    def _put(self, cut: _Cut) -> KeptPiece:
        name = f"{self._uid}.{cut.start}.{cut.stop}.{self._generation}"
        self._at.pieces.replace(name, cut.body)
        return KeptPiece(cut.start, cut.stop, name)

    def _begin(self) -> str:
        """Begin the file and write that down; what nobody wrote down is abandoned."""
        token = self._at.store.begin(self._name)
        try:
            self._at.catalog.arrivals.note(self._uid, self._generation, token)
        except (StateConflict, NotFound):
            with suppress(StorageFailed):
                self._at.store.abort(self._name, token)
            raise
        return token
