"""Groups of boards, waves, pauses, series."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "board_groups",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("changed_utc", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_board_groups")),
    )
    for column in (
        sa.Column("placement", sa.Text(), nullable=True),
        sa.Column("standing", sa.Text(), nullable=True),
        sa.Column("held_since_seconds", sa.Float(), nullable=True),
        sa.Column("series", sa.String(length=80), nullable=True),
        sa.Column("next_at_utc", sa.String(length=40), nullable=True),
    ):
        op.add_column("jobs", column)
    op.create_index("ix_jobs_series", "jobs", ["series"], unique=False)
    op.add_column("executions", sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
