"""The catalogue's first tables."""

import sqlalchemy as sa
from alembic import op

from coverslip.archive.models import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("sid", sa.String(length=128), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=128), nullable=False),
        sa.Column("before", sa.String(length=128), nullable=True),
        sa.Column("after", sa.String(length=128), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_events_sid", "events", ["sid"], unique=False)
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("roles", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("revoked", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "locks",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "uploads",
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=128), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("expires", Instant(), nullable=False),
        sa.Column("sid", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_index("ix_uploads_sid", "uploads", ["sid"], unique=False)
    op.create_index("ix_uploads_state", "uploads", ["state"], unique=False)
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("started", Instant(), nullable=False),
        sa.Column("seen", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "slides",
        sa.Column("sid", sa.String(length=128), nullable=False),
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("collection", sa.String(length=128), nullable=False),
        sa.Column("policy", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=128), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.String(length=128), nullable=True),
        sa.Column("done", sa.Double(), nullable=True),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("updated", Instant(), nullable=False),
        sa.Column("artefact", sa.String(length=128), nullable=True),
        sa.Column("clean_name", sa.String(length=128), nullable=True),
        sa.Column("sha256", sa.String(length=128), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("vendor", sa.String(length=128), nullable=True),
        sa.Column("route", sa.String(length=128), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("levels", sa.BigInteger(), nullable=True),
        sa.Column("tile_size", sa.BigInteger(), nullable=True),
        sa.Column("mpp_x", sa.Double(), nullable=True),
        sa.Column("mpp_y", sa.Double(), nullable=True),
        sa.Column("magnification", sa.Double(), nullable=True),
        sa.Column("removed", sa.BigInteger(), nullable=True),
        sa.Column("kept", sa.BigInteger(), nullable=True),
        sa.Column("replaced", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["uid"],
            ["uploads.uid"],
        ),
        sa.PrimaryKeyConstraint("sid"),
    )
    op.create_index("ix_slides_collection", "slides", ["collection"], unique=False)
    op.create_index("ix_slides_created", "slides", ["created", "sid"], unique=False)
    op.create_index("ix_slides_state_created", "slides", ["state", "created", "sid"], unique=False)
    op.create_table(
        "vault",
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["uid"],
            ["uploads.uid"],
        ),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("sid", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=128), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=True),
        sa.Column("lease", Instant(), nullable=True),
        sa.Column("run_after", Instant(), nullable=False),
        sa.Column("hinted", Instant(), nullable=True),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("finished", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sid"],
            ["slides.sid"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_jobs_finished", "jobs", ["finished"], unique=False)
    op.create_index("ix_jobs_sid", "jobs", ["sid"], unique=False)
    op.create_index("ix_jobs_state_run_after", "jobs", ["state", "run_after"], unique=False)


def downgrade() -> None:
    """Drop every table."""
    for table in ("jobs", "vault", "slides", "workers", "uploads", "locks", "keys", "events"):
        op.drop_table(table)
