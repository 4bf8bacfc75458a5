"""Priorities, automatic retries, forced cancels, removed boards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go forward."""
    op.add_column("boards", sa.Column("removed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("retry", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("executions", sa.Column("not_before_seconds", sa.Float(), nullable=True))
    op.add_column("executions", sa.Column("cancel_at_seconds", sa.Float(), nullable=True))
    op.add_column("executions", sa.Column("earlier", sa.Text(), nullable=False, server_default="[]"))
    flagged = sa.text("flag IS NOT NULL")
    op.create_index("ix_results_flagged", "results", ["job"], sqlite_where=flagged, postgresql_where=flagged)
