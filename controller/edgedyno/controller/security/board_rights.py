"""Which artifacts a board with a certificate may fetch and bring: those of its own executions, no others."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select, update

from edgedyno.controller.requests import manifest_of
from edgedyno.controller.store.executions import Execution, undone_of_board
from edgedyno.controller.store.tables import executions, results, uploads
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import references

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Sets of names kept: one for each job that boards work on at a time, and one more where variants differ.
_KEPT = 64
# Wherever a result names an artifact, it does so like this.
_NAME = re.compile(r'"([0-9a-f]{64})"')


class RightsError(EdgedynoError):
    """A board asks for what is not its own."""

    code = "artifact.rights"


class BoardRights:
    """Answers for boards; asked on the database's threads, one at a time for each."""

    def __init__(self, *, max_unnamed_bytes: float) -> None:
        self._max_unnamed_bytes = max_unnamed_bytes
        self._files: OrderedDict[tuple[str, bool, int], frozenset[str]] = OrderedDict()

    def check_get(self, connection: Connection, board: str, sha256: str) -> None:
        """Raise RightsError unless an execution of this board that has not ended needs this artifact.

        It tells nothing about whether there is such an artifact. What the board itself has brought it may see.
        """
        for execution in undone_of_board(connection, board):
            if sha256 in self._files_of(connection, execution):
                return
        brought = select(uploads.c.sha256).where(uploads.c.board == board, uploads.c.sha256 == sha256)
        if connection.execute(brought).first() is None:
            raise RightsError(f"board {board!r} has no execution that needs artifact {sha256}")

    def check_put(self, connection: Connection, board: str, announced_bytes: int) -> None:
        """Raise RightsError unless this board may have results, and brings no more than they can name."""
        begun = select(executions.c.execution).where(
            executions.c.board == board, executions.c.started_at_seconds.is_not(None)
        )
        if connection.execute(begun.limit(1)).first() is None:
            raise RightsError(f"board {board!r} has begun no execution whose results could name an artifact")
        if self._unnamed_bytes(connection, board) + announced_bytes <= self._max_unnamed_bytes:
            return
        _mark_named(connection, board)
        unnamed = self._unnamed_bytes(connection, board)
        if unnamed + announced_bytes > self._max_unnamed_bytes:
            raise RightsError(
                f"board {board!r} has brought {unnamed} bytes that no result of it names, expected at most "
                f"{self._max_unnamed_bytes:.0f} (max_unnamed_bytes) with these {announced_bytes}",
                code="artifact.unnamed",
            )

    def note_put(self, connection: Connection, board: str, sha256: str, size_bytes: int) -> None:
        """Write down what a board has brought."""
        newest = connection.execute(select(func.max(results.c.id))).scalar() or 0
        known = select(uploads.c.sha256).where(uploads.c.board == board, uploads.c.sha256 == sha256)
        if connection.execute(known).first() is None:
            connection.execute(
                insert(uploads).values(
                    board=board, sha256=sha256, size_bytes=size_bytes, after_result=newest, named=False
                )
            )

    def _unnamed_bytes(self, connection: Connection, board: str) -> int:
        query = select(func.sum(uploads.c.size_bytes)).where(
            uploads.c.board == board, uploads.c.named.is_(False)
        )
        return int(connection.execute(query).scalar() or 0)

    def _files_of(self, connection: Connection, execution: Execution) -> frozenset[str]:
        key = (execution.job, execution.reduce_range, execution.attempt)
        if key not in self._files:
            try:
                manifest = manifest_of(connection, execution)
            except KeyError:  # its variants are not built yet
                return frozenset()
            self._files[key] = frozenset(ref.sha256 for ref in references(manifest))
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)
        return self._files[key]


def _mark_named(connection: Connection, board: str) -> None:
    """Note which of a board's artifacts its results name by now."""
    waiting = select(func.min(uploads.c.after_result)).where(
        uploads.c.board == board, uploads.c.named.is_(False)
    )
    since = connection.execute(waiting).scalar()
    if since is None:
        return
    query = select(results.c.record).where(results.c.board == board, results.c.id > since)
    named: set[str] = set()
    for (record,) in connection.execute(query):
        named.update(_NAME.findall(record))
    connection.execute(
        update(uploads)
        .where(uploads.c.board == board, uploads.c.sha256.in_(sorted(named)))
        .values(named=True)
    )
