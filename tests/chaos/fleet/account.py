"""The end check: what the agents promised against what the store has, and what was left anywhere."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from sqlalchemy import select

from edgedyno.controller.store.database import make_engine
from edgedyno.controller.store.tables import executions, jobs, results
from edgedyno.core.messages import TERMINAL_STATES
from tests.chaos.fleet import ledger, witness
from tests.chaos.fleet.operator import TRIALS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.chaos.fleet.ledger import Line


class Account(Struct):
    """What came of a run."""

    faults: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """Faults that could not happen when their time came: nothing to kill, or one of its sort under way."""
    executions: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    promised: int = 0
    results: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    operator: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Processes that ended by themselves."""
    memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes at the beginning and at the end, by process."""
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether there was something to lose, and nothing was lost, doubled, stuck or left behind, or grew."""
        wrong = (self.lost, self.doubled, self.stuck, self.left_behind, self.grown, self.crashed)
        return self.promised > 0 and not any(wrong)

    @property
    def crashed(self) -> list[str]:
        """Ends that nobody had made, but for starts without what they need: a database, room to write at all."""
        return [end for end in self.ends if not end.endswith(" with 3")]

    @property
    def grown(self) -> list[str]:
        """Processes whose memory grew by more than half and 32 MiB."""
        return [
            f"{name}: from {begin >> 20} to {end >> 20} MiB"
            for name, (begin, end) in self.memory.items()
            if end > begin * 1.5 + (32 << 20)
        ]

    def add(self, other: Account) -> None:
        """Add another fleet's account."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict) and not isinstance(mine, Counter):
                setattr(self, name, {**mine, **theirs})
            else:
                setattr(self, name, mine + theirs)


def check_store(account: Account, url: str, ledgers: Iterable[Path]) -> None:
    """Hold the store against the agents' ledgers; the fleet need not run, but its database must be there."""
    engine = make_engine(url, pooled=False)
    with engine.connect() as connection:
        found = [row._asdict() for row in connection.execute(select(executions))]
        stored = [row._asdict() for row in connection.execute(select(results))]
        open_jobs = connection.execute(select(jobs.c.job).where(jobs.c.state.in_(("building", "active"))))
        account.stuck += [f"{row.job}: the job is still open" for row in open_jobs]
        account.doubled += witness.read(connection)
    engine.dispose()
    _check_executions(account, found, stored)
    _check_results(account, stored, [line for file in ledgers for line in ledger.read(file)])


def _check_executions(account: Account, found: list[dict[str, Any]], stored: list[dict[str, Any]]) -> None:
    trials: defaultdict[str, Counter[str]] = defaultdict(Counter)
    newest: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in stored:
        key = (row["execution"], row["trial"])
        newest[key] = max(newest[key], row["attempt"])
        trials[row["execution"]][row["trial"]] += bool(row["counted"])
    for execution in found:
        name, state = execution["execution"], execution["state"]
        account.executions[state] += 1
        account.attempts += execution["attempt"]
        if state not in TERMINAL_STATES:
            account.stuck.append(f"{name}: {state}")
        counted = trials[name]
        if state == "SUCCEEDED" and len(counted) != TRIALS:
            account.lost.append(f"{name}: {len(counted)} of {TRIALS} trials")
        account.lost += [f"{name} {trial}: none counts" for trial, count in counted.items() if count == 0]
        account.doubled += [f"{name} {trial}: {count} count" for trial, count in counted.items() if count > 1]
    for row in stored:
        if row["counted"] and row["attempt"] < newest[row["execution"], row["trial"]]:
            account.doubled.append(f"{row['execution']} {row['trial']}: an older attempt counts")


def _check_results(account: Account, stored: list[dict[str, Any]], lines: list[Line]) -> None:
    """Every kept result is in the store as it was kept, and the store has nothing that nobody meant to keep."""
    by_id: dict[str, Line] = {line.msg_id: line for line in lines if line.did == "meant"}
    kept = [line for line in lines if line.did == "kept"]
    refused = {line.msg_id: line.code for line in lines if line.did == "refused"}
    in_store = Counter(row["msg_id"] for row in stored)
    account.promised, account.results = len(kept), len(stored)
    account.flags += Counter(row["flag"] or "counted" for row in stored)
    for line in kept:
        if line.msg_id not in in_store:
            why = refused.get(line.msg_id, "not in the store")
            account.lost.append(f"{line.execution} {line.attempt} {line.trial} {line.msg_id}: {why}")
    for name, count in Counter((line.execution, line.attempt, line.trial) for line in kept).items():
        if count > 1:
            account.doubled.append(f"{name}: kept {count} times on its board")
    account.doubled += [f"{msg_id}: stored {count} times" for msg_id, count in in_store.items() if count > 1]
    for row in stored:
        meant = by_id.get(row["msg_id"])
        if meant is None:
            account.doubled.append(f"{row['msg_id']}: stored, but no agent has meant to keep it")
        elif hashlib.sha256(row["record"].encode()).hexdigest() != meant.sha256:
            account.lost.append(f"{row['msg_id']}: stored, but not as it was kept")


def unfinished(state: Path) -> list[str]:
    """Return what an agent's database says is not over; empty when it can only be read later."""
    try:
        connection = sqlite3.connect(f"file:{state / 'agent.db'}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.Error:
        return ["its database cannot be opened"]
    try:
        return [
            f"{count} in {table}"
            for table in ("outbox", "execution", "upload")
            if (count := connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        ]
    except sqlite3.Error as error:
        return [str(error)]
    finally:
        connection.close()


def open_transaction(file: Path) -> list[str]:
    """Return that somebody holds a transaction open on an SQLite file, if so."""
    connection = sqlite3.connect(file, timeout=5.0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return [f"{file.name}: {error}"]
    finally:
        connection.close()
    return []


def left_files(folder: Path, state: Path, data: Path) -> list[str]:
    """Return half-written files, and files that nothing names any more."""
    found = [*state.rglob("*.part"), *data.rglob("*.part"), *(data / "artifacts" / "incoming").glob("*")]
    for board in state.glob("board*"):
        found += [path for path in (board / "spool").glob("*") if path.is_file()]
        found += (board / "work").glob("*")
        found += list(board.glob("agent.db.broken-*"))
    return [str(path.relative_to(folder)) for path in found]
