"""What an agent promised: a line for each result before it is kept, after it was, and when it was refused."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Line(Struct, frozen=True, omit_defaults=True):
    """One thing that happened to a result."""

    did: str
    """meant: about to be kept; kept: the runner was told so; refused: the controller's last word."""
    msg_id: str
    execution: str = ""
    attempt: int = 0
    trial: str = ""
    sha256: str = ""
    """Of the record's JSON."""
    code: str = ""


def keep(file: Path) -> None:
    """Have this process's outbox and journal write their ledger."""
    from edgedyno.agent.journal import Journal
    from edgedyno.agent.outbox import Outbox

    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    put, finish_trial, refuse = Outbox.put, Journal.finish_trial, Outbox._refuse
    meant: list[Line] = []

    def write(line: Line) -> None:
        os.write(target, msgspec.json.encode(line) + b"\n")

    def put_and_tell(self: Any, record: Any, **options: Any) -> None:
        put(self, record, **options)
        query = "SELECT msg_id, record FROM outbox ORDER BY seq DESC LIMIT 1"
        msg_id, data = self._connection.execute(query).fetchone()
        sha256 = hashlib.sha256(data).hexdigest()
        line = Line("meant", msg_id, record.execution, record.attempt, record.trial, sha256)
        meant[:] = [line]
        write(line)

    def finish_and_tell(self: Any, *arguments: Any) -> bool:
        new = finish_trial(self, *arguments)
        if new:
            write(msgspec.structs.replace(meant[0], did="kept"))
        return new

    def refuse_and_tell(self: Any, refusal: Any) -> None:
        row = self._connection.execute("SELECT msg_id FROM outbox WHERE seq = ?", (refusal.seq,)).fetchone()
        refuse(self, refusal)
        if row is not None:
            write(Line("refused", row[0], code=refusal.code))

    Outbox.put = put_and_tell  # type: ignore[method-assign]
    Journal.finish_trial = finish_and_tell  # type: ignore[assignment, method-assign]
    Outbox._refuse = refuse_and_tell  # type: ignore[method-assign]


def read(file: Path) -> Iterator[Line]:
    """Yield the lines of a ledger; a last one that was cut off by a kill is left out."""
    if not file.exists():
        return
    for text in file.read_bytes().split(b"\n")[:-1]:
        yield msgspec.json.decode(text, type=Line)
