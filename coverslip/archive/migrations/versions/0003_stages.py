"""A job remembers its verified clean slide, so that a retry starts behind it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what a retry needs to go on."""
    op.add_column("jobs", sa.Column("verified", sa.String(length=128), nullable=True))
    op.add_column("jobs", sa.Column("facts", sa.String(length=2000), nullable=True))


def downgrade() -> None:
    """Every retry starts at the beginning again."""
    op.drop_column("jobs", "facts")
    op.drop_column("jobs", "verified")
