"""Why a board takes no new executions by itself; an execution's results are found without reading all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Go forward."""
    op.add_column("boards", sa.Column("refuses", sa.Text(), nullable=True))
    op.create_index("ix_results_execution", "results", ["execution"])
