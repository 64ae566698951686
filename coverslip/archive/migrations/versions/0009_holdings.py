"""What each owner's originals weigh: until now they were added up at each upload, a hundred thousand of them too."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and add up what there is, once."""
    op.create_table(
        "holdings",
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.execute(
        "INSERT INTO holdings (owner, length) SELECT uploads.owner, SUM(uploads.length) FROM uploads"
        " LEFT JOIN originals ON originals.uid = uploads.uid"
        " WHERE uploads.state = 'finished' AND originals.purged IS NULL GROUP BY uploads.owner"
    )


def downgrade() -> None:
    """Drop the table; the sums are made of what stays."""
    op.drop_table("holdings")
