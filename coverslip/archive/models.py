"""The tables. Only `vault` may hold anything a client or a file said about a person, and there it is encrypted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Dialect, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, stored as whole microseconds so that both databases compare and return it exactly."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


class Base(DeclarativeBase):
    """Every table of the catalogue."""

    type_annotation_map = {datetime: Instant, str: String(128), int: BigInteger}  # noqa: RUF012  SQLAlchemy reads it as is


class UploadRow(Base):
    """A file on its way in; `offset` is a promise to the client and never decreases."""

    __tablename__ = "uploads"

    uid: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    length: Mapped[int]
    offset: Mapped[int] = mapped_column(default=0)
    generation: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(index=True)
    created: Mapped[datetime]
    expires: Mapped[datetime]
    sid: Mapped[str | None] = mapped_column(index=True)


class VaultRow(Base):
    """What a client said about an upload, sealed with a key that lies in the PHI zone."""

    __tablename__ = "vault"

    uid: Mapped[str] = mapped_column(ForeignKey("uploads.uid"), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class OriginalRow(Base):
    """Where an original lies encrypted, and its key, wrapped; a purge leaves neither."""

    __tablename__ = "originals"

    uid: Mapped[str] = mapped_column(ForeignKey("uploads.uid"), primary_key=True)
    name: Mapped[str | None]
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    purged: Mapped[datetime | None]


class HoldingRow(Base):
    """Bytes of an owner's originals that are kept, purged ones apart: a sum that would grow with the archive."""

    __tablename__ = "holdings"

    owner: Mapped[str] = mapped_column(primary_key=True)
    length: Mapped[int]


class ArrivalRow(Base):
    """An upload that arrives in a bucket: the file it becomes, that file's wrapped key, and what was begun there."""

    __tablename__ = "arrivals"

    uid: Mapped[str] = mapped_column(ForeignKey("uploads.uid"), primary_key=True)
    name: Mapped[str]
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None once the upload has ended."""
    token: Mapped[str | None] = mapped_column(String(2000))
    """The store's, for the parts."""


class PieceRow(Base):
    """Bytes of an upload that are kept in a bucket: a part of the file, or a piece of the part that is not full yet."""

    __tablename__ = "pieces"

    uid: Mapped[str] = mapped_column(ForeignKey("arrivals.uid"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True)
    stop: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    """The piece's own; None for a part."""
    etag: Mapped[str | None]
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    size: Mapped[int]


class SlideRow(Base):
    """One slide: state, progress, and the numbers of its clean copy."""

    __tablename__ = "slides"

    sid: Mapped[str] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(ForeignKey("uploads.uid"))
    owner: Mapped[str]
    submission: Mapped[str] = mapped_column(default="", server_default="")
    """What it came together with: a digest, empty for what came by itself."""
    collection: Mapped[str] = mapped_column(index=True)
    policy: Mapped[str] = mapped_column(String(200))
    state: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    stage: Mapped[str | None]
    done: Mapped[float | None]
    code: Mapped[str | None]
    where: Mapped[str | None] = mapped_column("place", String(200))
    created: Mapped[datetime]
    updated: Mapped[datetime]
    artefact: Mapped[str | None]
    clean_name: Mapped[str | None]
    index_name: Mapped[str | None]
    """The pyramid's file, where it is not called as usual."""
    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None]
    vendor: Mapped[str | None]
    route: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    levels: Mapped[int | None]
    tile_size: Mapped[int | None]
    mpp_x: Mapped[float | None]
    mpp_y: Mapped[float | None]
    magnification: Mapped[float | None]
    removed: Mapped[int | None]
    kept: Mapped[int | None]
    replaced: Mapped[int | None]

    __table_args__ = (
        Index("ix_slides_state_created", "state", "created", "sid"),
        Index("ix_slides_created", "created", "sid"),
    )


class JobRow(Base):
    """One piece of work: transactional outbox, lease and fencing token in one row."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(ForeignKey("slides.sid"), index=True)
    kind: Mapped[str]
    state: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer, default=1)
    owner: Mapped[str]
    submission: Mapped[str] = mapped_column(default="", server_default="")
    collection: Mapped[str]
    token: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease: Mapped[datetime | None]
    run_after: Mapped[datetime]
    cancel: Mapped[bool] = mapped_column(default=False)
    verified: Mapped[str | None]
    """The attempt whose draft holds the verified clean slide, by its artefact's name; what it made is in `facts`."""
    facts: Mapped[str | None] = mapped_column(String(2000))
    code: Mapped[str | None]
    where: Mapped[str | None] = mapped_column("place", String(200))
    created: Mapped[datetime]
    finished: Mapped[datetime | None] = mapped_column(index=True)

    __table_args__ = (
        Index("ix_jobs_turn", "state", "priority", "owner", "created"),
        Index("ix_jobs_line", "state", "priority", "owner", "submission", "created"),
        Index("ix_jobs_kind", "state", "kind"),
    )


class TurnRow(Base):
    """When an owner's work, or a submission's, was last begun, so that they take turns."""

    __tablename__ = "turns"

    owner: Mapped[str] = mapped_column(primary_key=True)
    served: Mapped[datetime]


class PauseRow(Base):
    """Work that is not to be begun for now: everything, one owner's, or one collection's."""

    __tablename__ = "pauses"

    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    actor: Mapped[str]


class EventRow(Base):
    """The audit trail: appended in the transaction of the act it records, never changed."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    sid: Mapped[str | None] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    before: Mapped[str | None]
    after: Mapped[str | None]
    code: Mapped[str | None]
    where: Mapped[str | None] = mapped_column("place", String(200))
    reason: Mapped[str | None] = mapped_column(String(500))


class WorkerRow(Base):
    """When a worker was last heard of."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    started: Mapped[datetime]
    seen: Mapped[datetime]
    began: Mapped[datetime | None]
    """When it last took a job."""


class LockRow(Base):
    """A lease on a duty that one process at a time performs."""

    __tablename__ = "locks"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime]


class KeyMarkRow(Base):
    """What tells the key of that name from any other."""

    __tablename__ = "key_marks"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    mark: Mapped[bytes] = mapped_column(LargeBinary(32))


class KeyRow(Base):
    """An API key: who, which roles, and the digest of its secret."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(200))
    owner: Mapped[str]
    roles: Mapped[str] = mapped_column(String(200))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    created: Mapped[datetime]
    revoked: Mapped[datetime | None]
