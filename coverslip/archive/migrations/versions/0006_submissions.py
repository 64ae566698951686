"""Which slides came together: an owner's submissions take turns as owners do."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What came before is one submission of its owner's."""
    for table in ("slides", "jobs"):
        op.add_column(table, sa.Column("submission", sa.String(length=128), nullable=False, server_default=""))


def downgrade() -> None:
    """Back to one line per owner."""
    for table in ("jobs", "slides"):
        op.drop_column(table, "submission")
