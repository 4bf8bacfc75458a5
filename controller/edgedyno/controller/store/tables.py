"""The tables. Their history is in migrations/; a test compares the two.

Times in `*_at_seconds` columns are on the fleet clock (see clock.py), never the wall clock; `*_utc` columns
are for people.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite numbers rows by itself only in a column of exactly this type.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

settings = Table(
    "settings",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

boards = Table(
    "boards",
    metadata,
    Column("board", String(63), primary_key=True),
    Column("labels", Text, nullable=False),
    Column("drained", Boolean, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("boot_id", String(128), nullable=False),
    Column("session_epoch", BigInteger, nullable=False),
    Column("agent_version", String(64), nullable=False),
    Column("capabilities_sha256", String(64), nullable=False),
    Column("capabilities", Text),
    Column("execution", String(160)),
    Column("refuses", Text),
    Column("heard_at_seconds", Float, nullable=False),
    Column("created_utc", String(40), nullable=False),
    Column("removed", Boolean, nullable=False, server_default=false()),
)

board_groups = Table(
    "board_groups",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("selector", Text, nullable=False),
    Column("changed_utc", String(40), nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("position", _Serial, primary_key=True, autoincrement=True),
    Column("job", String(80), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_utc", String(40), nullable=False),
    Column("resolved", Text, nullable=False),
    Column("failure", Text),
    Column("cancel_requested", Boolean, nullable=False),
    Column("verdicts", Text),
    Column("verdicts_key", String(64)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("retry", Text, nullable=False, server_default="{}"),
    Column("placement", Text),
    Column("standing", Text),
    Column("held_since_seconds", Float),
    Column("series", String(80)),
    Column("next_at_utc", String(40)),
    Index("ix_jobs_state", "state"),
    Index("ix_jobs_series", "series"),
)

builds = Table(
    "builds",
    metadata,
    Column("job", String(80), ForeignKey("jobs.job"), primary_key=True),
    Column("reduce_range", Boolean, primary_key=True),
    Column("variants", Text),
    Column("seconds", Float),
)

executions = Table(
    "executions",
    metadata,
    Column("position", _Serial, primary_key=True, autoincrement=True),
    Column("execution", String(160), nullable=False, unique=True),
    Column("job", String(80), ForeignKey("jobs.job"), nullable=False),
    Column("board", String(63), ForeignKey("boards.board"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reduce_range", Boolean, nullable=False),
    Column("progress", Text),
    Column("reason", Text),
    Column("stalled", Boolean, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("lease_id", String(64)),
    Column("lease_request_id", String(128)),
    Column("lease_ends_at_seconds", Float),
    Column("queued_at_seconds", Float, nullable=False),
    Column("started_at_seconds", Float),
    Column("ended_at_seconds", Float),
    Column("results_count", Integer, nullable=False),
    Column("scored", Boolean, nullable=False),
    Column("scoring_round", Integer, nullable=False),
    Column("scoring_failure", Text),
    Column("not_before_seconds", Float),
    Column("cancel_at_seconds", Float),
    Column("earlier", Text, nullable=False, server_default="[]"),
    Column("wave", Integer, nullable=False, server_default="0"),
    Index("ix_executions_board_state", "board", "state"),
    Index("ix_executions_job", "job"),
    # A board runs one execution at a time, whatever replicas do at the same moment.
    Index(
        "uq_executions_running",
        "board",
        unique=True,
        sqlite_where=text("state = 'IN_PROGRESS'"),
        postgresql_where=text("state = 'IN_PROGRESS'"),
    ),
)

streams = Table(
    "streams",
    metadata,
    Column("board", String(63), primary_key=True),
    Column("stream_epoch", String(128), primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("ahead", Text, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("board", String(63), nullable=False),
    Column("stream_epoch", String(128), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("msg_id", String(128), nullable=False, unique=True),
    Column("job", String(80), nullable=False),
    Column("execution", String(160), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("trial", String(64), nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("flag", String(16)),
    Column("predictions_sha256", String(64)),
    Column("record", Text, nullable=False),
    Column("scored", Text),
    UniqueConstraint("board", "stream_epoch", "seq"),
    Index("ix_results_execution", "execution"),
    Index("ix_results_job", "job"),
    Index("ix_results_predictions_sha256", "predictions_sha256"),
    Index(
        "ix_results_flagged",
        "job",
        sqlite_where=text("flag IS NOT NULL"),
        postgresql_where=text("flag IS NOT NULL"),
    ),
    Index(
        "uq_results_counted",
        "execution",
        "trial",
        unique=True,
        sqlite_where=text("counted"),
        postgresql_where=text("counted"),
    ),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("secret_sha256", String(64), primary_key=True),
    Column("board", String(63)),
    # The wall clock's, like those of certificates: boards and brokers check by it.
    Column("created_at_unix", Float, nullable=False),
    Column("expires_at_unix", Float, nullable=False),
    Column("used_by", String(63)),
    Column("used_key_sha256", String(64)),
)

certificates = Table(
    "certificates",
    metadata,
    Column("serial", String(40), primary_key=True),
    Column("board", String(63), nullable=False),
    Column("key_sha256", String(64), nullable=False),
    Column("issued_at_unix", Float, nullable=False),
    Column("expires_at_unix", Float, nullable=False),
    Column("revoked_at_unix", Float),
    Column("pem", Text, nullable=False),
    Index("ix_certificates_board", "board"),
    Index("ix_certificates_expires_at_unix", "expires_at_unix"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("scope", String(16), nullable=False),
    Column("created_utc", String(40), nullable=False),
    # The wall clock's, because people say until when; see docs/security.md.
    Column("expires_at_unix", Float),
    Column("revoked", Boolean, nullable=False),
)

# What boards with certificates have brought; see security/board_rights.py.
uploads = Table(
    "uploads",
    metadata,
    Column("board", String(63), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("after_result", BigInteger, nullable=False),
    Column("named", Boolean, nullable=False),
)
