"""What this agent has undertaken, written before it acts: a restart goes on where the last one stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.core.manifest import Manifest
from edgedyno.core.messages import ExecutionState, Phase

if TYPE_CHECKING:
    from edgedyno.agent.database import Database
    from edgedyno.agent.outbox import Outbox
    from edgedyno.core.result import Result

_COLUMNS = (
    "execution, attempt, lease_id, lease_seconds, version, manifest, boot_id, started_monotonic, phase, "
    "starts, deaths, outcome, reason"
)


class Entry(Struct, frozen=True, kw_only=True):
    """The one execution that this board works on."""

    execution: str
    attempt: int
    lease_id: str
    lease_seconds: float
    version: int
    """Of the controller's record, as last heard."""
    manifest: Manifest
    boot_id: str
    started_monotonic: float
    """Clock of the boot `boot_id`."""
    phase: Phase = "fetch"
    starts: int = 0
    """Of the runner since a trial was last finished."""
    deaths: int = 0
    """Of the runner, as seen by a daemon."""
    outcome: ExecutionState | None = None
    """How it ended; the controller does not know it yet."""
    reason: str | None = None


class Journal:
    """The current execution and its finished trials, on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def current(self) -> Entry | None:
        """Return the execution that was begun and not ended."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM execution").fetchone()  # noqa: S608 our own columns
        if row is None:
            return None
        fields = dict(zip(Entry.__struct_fields__, row, strict=True))
        fields["manifest"] = msgspec.json.decode(fields["manifest"], type=Manifest)
        return Entry(**fields)

    def begin(self, entry: Entry) -> None:
        """Write down a new execution."""
        values = [
            msgspec.json.encode(value) if isinstance(value, Manifest) else value
            for value in (getattr(entry, name) for name in Entry.__struct_fields__)
        ]
        marks = ", ".join("?" * len(values))
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM execution")
            connection.execute("DELETE FROM trial")
            connection.execute(
                f"INSERT INTO execution (id, {_COLUMNS}) VALUES (1, {marks})",  # noqa: S608 our own columns
                values,
            )

    def change(self, entry: Entry, **fields: str | float | None) -> Entry:
        """Write down changed fields of the current execution and return it with them."""
        assignments = ", ".join(f"{name} = ?" for name in fields)

        def write() -> None:
            with self._database.transaction() as connection:
                connection.execute(
                    f"UPDATE execution SET {assignments}",  # noqa: S608 our own columns
                    tuple(fields.values()),
                )

        self._database.write_reserved(write)
        return msgspec.structs.replace(entry, **fields)

    def finish_trial(self, entry: Entry, record: Result, outbox: Outbox, artifacts: list[str]) -> bool:
        """Mark a trial done and put its result into the outbox, in one transaction; False if it was done."""

        def write() -> bool:
            with self._database.transaction() as connection:
                new = connection.execute(
                    "INSERT OR IGNORE INTO trial VALUES (?, ?, ?)",
                    (entry.execution, entry.attempt, record.trial),
                )
                if new.rowcount:
                    outbox.put(record, lease_id=entry.lease_id, artifacts=artifacts)
                    connection.execute("UPDATE execution SET starts = 0")
                return bool(new.rowcount)

        return self._database.write_reserved(write)

    def done_trials(self, entry: Entry) -> list[str]:
        """Return the ids of trials that have a result."""
        rows = self._connection.execute(
            "SELECT trial FROM trial WHERE execution = ? AND attempt = ?", (entry.execution, entry.attempt)
        )
        return [row[0] for row in rows]

    def end(self) -> None:
        """Forget the current execution: the controller knows its end."""

        def write() -> None:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM execution")
                connection.execute("DELETE FROM trial")

        self._database.write_reserved(write)


def read_boot_id(path: str = "/proc/sys/kernel/random/boot_id") -> str:
    """Return the id of this boot."""
    with open(path, encoding="ascii") as file:  # noqa: PTH123 pathlib adds nothing to one read
        return file.read().strip()


class Page:
    """The journal's current entry, as kept in memory beside the file."""

    def __init__(self, journal: Journal, entry: Entry) -> None:
        self._journal = journal
        self.entry = entry

    def change(self, **fields: str | float | None) -> None:
        """Write down changed fields, then show them."""
        self.entry = self._journal.change(self.entry, **fields)
