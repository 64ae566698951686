"""A mark of each key the catalogue is sealed with: nothing told a wrong one until something did not open."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; the next start writes down which keys there are."""
    op.create_table(
        "key_marks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("mark", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Drop the table; whichever keys are there count."""
    op.drop_table("key_marks")
