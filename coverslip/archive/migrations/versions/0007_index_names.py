"""A complete pyramid in a bucket is a file beside the one a slide came with, so a slide says which it is."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the name; none is the usual one."""
    op.add_column("slides", sa.Column("index_name", sa.String(length=128), nullable=True))


def downgrade() -> None:
    """Slides have the index they came with."""
    op.drop_column("slides", "index_name")
