"""Results on their way to the controller, on disk until it has them. It sends nothing: `delivery` does."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.core.messages import Ack, Refusal, ResultMessage
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from edgedyno.agent.database import Database

log = logging.getLogger(__name__)

# The log of refusals is for people, who look at the newest.
REFUSED_KEPT = 100


class Upload(Struct, frozen=True):
    """An artifact that has to be at the controller before the result that names it."""

    seq: int
    sha256: str


class Outbox:
    """A bounded queue of results; rows leave only by the controller's word."""

    def __init__(self, database: Database, *, board: str, limit: int, limit_bytes: int = 256 << 20) -> None:
        self._database = database
        self._connection = database.connection
        self._board = board
        self._limit = limit
        self._limit_bytes = limit_bytes
        self.stream_epoch = database.get_meta("stream_epoch") or self._begin_stream()

    def _begin_stream(self) -> str:
        self.stream_epoch = os.urandom(8).hex()
        self._database.set_meta("stream_epoch", self.stream_epoch)
        return self.stream_epoch

    @property
    def depth(self) -> int:
        """Results that wait."""
        return int(self._connection.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def waiting(self, execution: str) -> int:
        """Results of one execution that wait."""
        query = "SELECT count(*) FROM outbox WHERE execution = ?"
        return int(self._connection.execute(query, (execution,)).fetchone()[0])

    def count_up_to(self, seq: int) -> int:
        """Results that wait and are not newer than `seq`."""
        return int(
            self._connection.execute("SELECT count(*) FROM outbox WHERE seq <= ?", (seq,)).fetchone()[0]
        )

    @property
    def size_bytes(self) -> int:
        """Size of the results that wait."""
        return int(self._connection.execute("SELECT total(length(record)) FROM outbox").fetchone()[0])

    @property
    def accepts_runs(self) -> bool:
        """Whether a new execution may begin: the last tenth is reserved for one that runs already."""
        return self.depth < self._limit * 9 // 10 and self.size_bytes < self._limit_bytes * 9 // 10

    @property
    def full(self) -> bool:
        """Whether the reserved part is used up too."""
        return self.depth >= self._limit or self.size_bytes >= self._limit_bytes

    def put(self, record: Result, *, lease_id: str, artifacts: list[str]) -> None:
        """Add a result and the artifacts that it names; part of the caller's transaction."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO outbox (msg_id, execution, attempt, lease_id, record) VALUES (?, ?, ?, ?, ?)",
                (
                    os.urandom(16).hex(),
                    record.execution,
                    record.attempt,
                    lease_id,
                    msgspec.json.encode(record),
                ),
            )
            rows = [(cursor.lastrowid, sha256) for sha256 in dict.fromkeys(artifacts)]
            connection.executemany("INSERT INTO upload (seq, sha256) VALUES (?, ?)", rows)

    def window(self, size: int, *, after: int = 0) -> list[ResultMessage]:
        """Return the oldest results behind `after`, in order, up to the first that lacks an upload."""
        blocked = self._connection.execute("SELECT min(seq) FROM upload WHERE NOT done").fetchone()[0]
        oldest = self._connection.execute("SELECT min(seq) FROM outbox").fetchone()[0]
        rows = self._connection.execute(
            "SELECT seq, msg_id, execution, attempt, lease_id, record FROM outbox "
            "WHERE seq > ? AND (? IS NULL OR seq < ?) ORDER BY seq LIMIT ?",
            (after, blocked, blocked, size),
        )
        return [
            ResultMessage(
                msg_id=msg_id,
                board=self._board,
                stream_epoch=self.stream_epoch,
                seq=seq,
                execution=execution,
                attempt=attempt,
                lease_id=lease_id,
                record=msgspec.json.decode(record, type=Result),
                oldest_seq=oldest,
            )
            for seq, msg_id, execution, attempt, lease_id, record in rows
        ]

    def next_upload(self) -> Upload | None:
        """Return the artifact that the oldest blocked result waits for."""
        query = "SELECT seq, sha256 FROM upload WHERE NOT done ORDER BY seq, sha256 LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return None if row is None else Upload(seq=row[0], sha256=row[1])

    def uploaded(self, sha256: str) -> None:
        """Note that the controller has an artifact, or that it can never have it."""

        def write() -> None:
            with self._database.transaction() as connection:
                connection.execute("UPDATE upload SET done = 1 WHERE sha256 = ?", (sha256,))

        self._database.write_reserved(write)

    def artifacts(self) -> set[str]:
        """Return the artifacts that results in the outbox name; their files have to stay."""
        return {row[0] for row in self._connection.execute("SELECT DISTINCT sha256 FROM upload")}

    def acknowledge(self, ack: Ack) -> int:
        """Drop what the controller has or refused for good; return how many rows left.

        An ack of another stream is ignored. An ack beyond what this stream ever held means that the database
        was put back to an older state: then a new stream begins, or the controller would take new results for
        old ones.
        """
        if ack.stream_epoch != self.stream_epoch:
            return 0
        issued = self._issued()
        if ack.up_to > issued:
            log.error("the controller acknowledged seq %d of %d: a new stream begins", ack.up_to, issued)
            self._begin_stream()
            return 0
        before = self.depth

        def write() -> None:
            with self._database.transaction() as connection:
                for refusal in ack.refused:
                    self._refuse(refusal)
                connection.execute("DELETE FROM outbox WHERE seq <= ?", (ack.up_to,))

        self._database.write_reserved(write)
        return before - self.depth

    def _issued(self) -> int:
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return 0 if row is None else int(row[0])

    def _refuse(self, refusal: Refusal) -> None:
        with self._database.transaction() as connection:
            moved = connection.execute(
                "INSERT OR IGNORE INTO refused "
                "SELECT seq, msg_id, execution, record, ?, ? FROM outbox WHERE seq = ?",
                (refusal.code, refusal.text, refusal.seq),
            )
            connection.execute("DELETE FROM outbox WHERE seq = ?", (refusal.seq,))
            connection.execute(
                "DELETE FROM refused WHERE seq NOT IN (SELECT seq FROM refused ORDER BY seq DESC LIMIT ?)",
                (REFUSED_KEPT,),
            )
        if moved.rowcount:
            log.error("the controller refused result %d: %s: %s", refusal.seq, refusal.code, refusal.text)

    def refusals(self) -> list[Refusal]:
        """Return the newest refusals, oldest first."""
        rows = self._connection.execute("SELECT seq, code, text FROM refused ORDER BY seq")
        return [Refusal(seq=seq, code=code, text=text) for seq, code, text in rows]
