"""Whose turn it is: priorities, owners on jobs, turns and pauses. Hints are counted now, not remembered."""

import sqlalchemy as sa
from alembic import op

from coverslip.archive.models import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OF_SLIDE = "UPDATE jobs SET {name} = (SELECT {name} FROM slides WHERE slides.sid = jobs.sid)"


def upgrade() -> None:
    """Add what choosing a job needs; jobs that wait already take part."""
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="1"))
    for name in ("owner", "collection"):
        op.add_column("jobs", sa.Column(name, sa.String(length=128), nullable=False, server_default=""))
        op.execute(OF_SLIDE.format(name=name))
    op.drop_column("jobs", "hinted")
    op.add_column("workers", sa.Column("began", Instant(), nullable=True))
    op.create_index("ix_jobs_turn", "jobs", ["state", "priority", "owner", "created"], unique=False)
    op.create_table(
        "turns",
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("served", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner"),
    )
    op.create_table(
        "pauses",
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("since", Instant(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name"),
    )


def downgrade() -> None:
    """Back to one line of jobs, oldest first."""
    op.drop_table("pauses")
    op.drop_table("turns")
    op.drop_column("workers", "began")
    op.drop_index("ix_jobs_turn", "jobs")
    for name in ("collection", "owner", "priority"):
        op.drop_column("jobs", name)
    op.add_column("jobs", sa.Column("hinted", Instant(), nullable=True))
