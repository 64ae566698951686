"""The catalogue's door for uploads and originals: what was announced, how much of it is kept, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from coverslip.archive import keeping, uploads
from coverslip.archive.door import Door
from coverslip.archive.events import SYSTEM
from coverslip.archive.originals import Sealed, upload_of
from coverslip.archive.records import Load, Upload
from coverslip.archive.turns import Priority
from coverslip.archive.vault import Untrusted


class UploadRecords(Door):
    """Uploads and originals; each method is one transaction."""

    def create_upload(
        self,
        owner: str,
        length: int,
        expires_at: datetime,
        untrusted_filename: str,
        metadata: Mapping[str, str] | None = None,
        *,
        admit: Callable[[Load], None] = lambda _: None,
    ) -> Upload:
        """Announce a file; its name and metadata go into the vault and nowhere else.

        `admit` is shown what uploads hold, in the transaction that adds this one, and refuses it by raising.
        """
        with self._db.write() as session:
            admit(uploads.load(session, self._now(), owner))
            return uploads.create(
                session,
                self._now(),
                self._sealed(),
                owner=owner,
                length=length,
                expires=expires_at,
                untrusted_filename=untrusted_filename,
                metadata=metadata or {},
            )

    def load(self, owner: str) -> Load:
        """What uploads hold now, one owner's and everybody's."""
        with self._db.read() as session:
            return uploads.load(session, self._now(), owner)

    def upload(self, uid: str) -> Upload:
        """One upload; raises `NotFound`."""
        with self._db.read() as session:
            return uploads.get(session, uid)

    def heard_of(self, uids: Collection[str]) -> frozenset[str]:
        """Those of them that are uploads, whatever became of them."""
        with self._db.read() as session:
            return uploads.heard_of(session, uids)

    def of_known_uploads(self, names: Collection[str]) -> list[str]:
        """Those files, originals and pieces of them, that belong to an upload there ever was."""
        known = self.heard_of({upload_of(name) for name in names})
        return [name for name in names if upload_of(name) in known]

    def begin_patch(self, uid: str, *, follow: Callable[[str], None] | None = None) -> int:
        """Make the caller the only writer and return its generation; raises `NotFound` or `StateConflict`.

        `follow` runs before the record is committed: nobody ends the upload meanwhile.
        """
        with self._db.write(moves_files=follow is not None) as session:
            generation = uploads.begin_patch(session, self._now(), uid)
            if follow is not None:
                follow(uid)
        return generation

    def advance(self, uid: str, generation: int, offset: int) -> None:
        """Promise that everything before `offset` is kept; raises `LeaseLost` when a newer request writes."""
        with self._db.write() as session:
            uploads.advance(session, uid, generation, offset)

    def finish_upload(
        self,
        uid: str,
        generation: int,
        sha256: str,
        policy: str,
        collection: str = "default",
        priority: Priority = Priority.USUAL,
        original: Sealed | None = None,
        submission: str = "",
    ) -> str:
        """Turn a complete upload into a slide with a queued job, both or neither; returns the slide's id.

        Records only: `Archive.finish_upload` encrypts the bytes first and says by `original` where they lie.
        """
        with self._db.write() as session:
            return uploads.finish(
                session,
                self._now(),
                self._sealed(),
                uid,
                generation,
                sha256=sha256,
                policy=policy,
                collection=collection,
                priority=priority,
                original=original,
                submission=submission,
            )

    def terminate_upload(self, uid: str, actor: str = SYSTEM) -> None:
        """End an upload and forget what was said about it; raises `NotFound` or `StateConflict`.

        Ends the record only: `Archive.terminate_upload` deletes the bytes afterwards.
        """
        with self._db.write() as session:
            uploads.terminate(session, self._now(), uid, actor=actor)

    def expired_uploads(self, now: datetime) -> tuple[Upload, ...]:
        """Open uploads whose time is over."""
        with self._db.read() as session:
            return uploads.expired(session, now)

    def open_uploads(self, owner: str) -> tuple[Upload, ...]:
        """What `owner` has under way, oldest first."""
        with self._db.read() as session:
            return uploads.open_of(session, owner)

    def unseal(self, uid: str, actor: str, sid: str | None = None) -> Untrusted:
        """What the client said about an upload; the reading itself is recorded, or does not happen."""
        with self._db.write() as session:
            return uploads.unseal(session, self._now(), self._sealed(), uid, actor=actor, sid=sid)

    def sealed(self, uid: str) -> Sealed | None:
        """Where an original lies encrypted; None for one that came before originals were. Raises `OriginalPurged`."""
        with self._db.read() as session:
            return keeping.sealed(session, uid)

    def purged(self, uid: str) -> datetime | None:
        """When an original's key was destroyed; None while it is kept."""
        with self._db.read() as session:
            return keeping.purged(session, uid)

    def is_purged(self, uid: str) -> bool:
        """Whether an original's key was destroyed."""
        return self.purged(uid) is not None

    def original_names(self) -> frozenset[str]:
        """The names of all encrypted originals that somebody can open."""
        with self._db.read() as session:
            return keeping.names(session)

    def overdue_originals(self, before: datetime, limit: int) -> tuple[str, ...]:
        """Slides settled since before that moment whose original is still kept."""
        with self._db.read() as session:
            return keeping.overdue(session, before, limit)

    def purge(self, sid: str, actor: str, reason: str = "", expected: int | None = None) -> tuple[str, str | None]:
        """Destroy the key of a slide's original and what a client said about it.

        Returns the upload's id and the artefact nothing points to any more, if the slide's days are over. Records only:
        `Archive.purge` deletes the bytes. Raises `NotFound`, `StateConflict`, `Outdated` or `OriginalPurged`.
        """
        with self._db.write() as session:
            ended = keeping.purge(session, self._now(), sid, actor=actor, reason=reason, expected=expected)
        self._db.forget()
        return ended
