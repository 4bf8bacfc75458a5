"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "boards",
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("drained", sa.Boolean(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("boot_id", sa.String(length=128), nullable=False),
        sa.Column("session_epoch", sa.BigInteger(), nullable=False),
        sa.Column("agent_version", sa.String(length=64), nullable=False),
        sa.Column("capabilities_sha256", sa.String(length=64), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=True),
        sa.Column("execution", sa.String(length=160), nullable=True),
        sa.Column("heard_at_seconds", sa.Float(), nullable=False),
        sa.Column("created_utc", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("board", name=op.f("pk_boards")),
    )
    op.create_table(
        "jobs",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("job", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_utc", sa.String(length=40), nullable=False),
        sa.Column("resolved", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("verdicts", sa.Text(), nullable=True),
        sa.Column("verdicts_key", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_jobs")),
        sa.UniqueConstraint("job", name=op.f("uq_jobs_job")),
    )
    op.create_index("ix_jobs_state", "jobs", ["state"], unique=False)
    op.create_table(
        "results",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("stream_epoch", sa.String(length=128), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("msg_id", sa.String(length=128), nullable=False),
        sa.Column("job", sa.String(length=80), nullable=False),
        sa.Column("execution", sa.String(length=160), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("trial", sa.String(length=64), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("flag", sa.String(length=16), nullable=True),
        sa.Column("predictions_sha256", sa.String(length=64), nullable=True),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("scored", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sa.UniqueConstraint("board", "stream_epoch", "seq", name=op.f("uq_results_board_stream_epoch_seq")),
        sa.UniqueConstraint("msg_id", name=op.f("uq_results_msg_id")),
    )
    op.create_index("ix_results_job", "results", ["job"], unique=False)
    op.create_index("ix_results_predictions_sha256", "results", ["predictions_sha256"], unique=False)
    op.create_index(
        "uq_results_counted",
        "results",
        ["execution", "trial"],
        unique=True,
        sqlite_where=sa.text("counted"),
        postgresql_where=sa.text("counted"),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "streams",
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("stream_epoch", sa.String(length=128), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.Column("ahead", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("board", "stream_epoch", name=op.f("pk_streams")),
    )
    op.create_table(
        "builds",
        sa.Column("job", sa.String(length=80), nullable=False),
        sa.Column("reduce_range", sa.Boolean(), nullable=False),
        sa.Column("variants", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.job"], name=op.f("fk_builds_job")),
        sa.PrimaryKeyConstraint("job", "reduce_range", name=op.f("pk_builds")),
    )
    op.create_table(
        "executions",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("execution", sa.String(length=160), nullable=False),
        sa.Column("job", sa.String(length=80), nullable=False),
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reduce_range", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("stalled", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_id", sa.String(length=64), nullable=True),
        sa.Column("lease_request_id", sa.String(length=128), nullable=True),
        sa.Column("lease_ends_at_seconds", sa.Float(), nullable=True),
        sa.Column("queued_at_seconds", sa.Float(), nullable=False),
        sa.Column("started_at_seconds", sa.Float(), nullable=True),
        sa.Column("ended_at_seconds", sa.Float(), nullable=True),
        sa.Column("results_count", sa.Integer(), nullable=False),
        sa.Column("scored", sa.Boolean(), nullable=False),
        sa.Column("scoring_round", sa.Integer(), nullable=False),
        sa.Column("scoring_failure", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["board"], ["boards.board"], name=op.f("fk_executions_board")),
        sa.ForeignKeyConstraint(["job"], ["jobs.job"], name=op.f("fk_executions_job")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_executions")),
        sa.UniqueConstraint("execution", name=op.f("uq_executions_execution")),
    )
    op.create_index("ix_executions_board_state", "executions", ["board", "state"], unique=False)
    op.create_index("ix_executions_job", "executions", ["job"], unique=False)
    op.create_index(
        "uq_executions_running",
        "executions",
        ["board"],
        unique=True,
        sqlite_where=sa.text("state = 'IN_PROGRESS'"),
        postgresql_where=sa.text("state = 'IN_PROGRESS'"),
    )
