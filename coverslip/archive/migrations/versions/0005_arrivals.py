"""Uploads that arrive in a bucket: where, under which wrapped key, and which parts and pieces are there."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; an upload without a row there arrives on the disk."""
    op.create_table(
        "arrivals",
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("token", sa.String(length=2000), nullable=True),
        sa.ForeignKeyConstraint(["uid"], ["uploads.uid"]),
        sa.PrimaryKeyConstraint("uid"),
    )
    op.create_table(
        "pieces",
        sa.Column("uid", sa.String(length=128), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("etag", sa.String(length=128), nullable=True),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["arrivals.uid"]),
        sa.PrimaryKeyConstraint("uid", "start", "stop"),
    )


def downgrade() -> None:
    """Drop the tables; uploads under way there are lost."""
    op.drop_table("pieces")
    op.drop_table("arrivals")
