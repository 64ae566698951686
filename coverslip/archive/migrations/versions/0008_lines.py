"""An index from line to line: whose turn it is must not cost more because thousands wait.

The one by time goes: SQLite preferred it, and then sorted all that wait.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add that one and one by kind, drop the other."""
    op.drop_index("ix_jobs_state_run_after", "jobs")
    op.create_index("ix_jobs_line", "jobs", ["state", "priority", "owner", "submission", "created"], unique=False)
    op.create_index("ix_jobs_kind", "jobs", ["state", "kind"], unique=False)


def downgrade() -> None:
    """The other way round."""
    op.drop_index("ix_jobs_kind", "jobs")
    op.drop_index("ix_jobs_line", "jobs")
    op.create_index("ix_jobs_state_run_after", "jobs", ["state", "run_after"], unique=False)
