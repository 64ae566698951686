"""Encrypted originals and their wrapped keys."""

import sqlalchemy as sa
from alembic import op

from coverslip.archive.models import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; originals from before have no row and lie as they came."""
    op.create_table(
        "originals",
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("purged", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["uid"], ["uploads.uid"]),
        sa.PrimaryKeyConstraint("uid"),
    )


def downgrade() -> None:
    """Drop the table, and with it the only way to the originals."""
    op.drop_table("originals")
