"""Enrolment tokens and the boards' certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "enrolments",
        sa.Column("secret_sha256", sa.String(length=64), nullable=False),
        sa.Column("board", sa.String(length=63), nullable=True),
        sa.Column("created_at_unix", sa.Float(), nullable=False),
        sa.Column("expires_at_unix", sa.Float(), nullable=False),
        sa.Column("used_by", sa.String(length=63), nullable=True),
        sa.Column("used_key_sha256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("secret_sha256", name=op.f("pk_enrolments")),
    )
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("board", sa.String(length=63), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("issued_at_unix", sa.Float(), nullable=False),
        sa.Column("expires_at_unix", sa.Float(), nullable=False),
        sa.Column("revoked_at_unix", sa.Float(), nullable=True),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificates")),
    )
    op.create_index("ix_certificates_board", "certificates", ["board"])
    op.create_index("ix_certificates_expires_at_unix", "certificates", ["expires_at_unix"])
