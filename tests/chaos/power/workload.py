"""What an agent writes in its life, at random: `python -m tests.chaos.power.workload FOLDER MARKS SEED STEPS`.

Before and after each step a line goes to MARKS: `begin N`, then `done N` with what the files hold. Whatever is
done has been promised to someone: the runner was told that its result is kept, or the controller that its ack
was taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.database import Database, next_session_epoch
from edgedyno.agent.journal import Entry, Journal
from edgedyno.agent.outbox import Outbox
from edgedyno.agent.spool import Spool
from edgedyno.core.messages import Ack, Refusal
from tests.agent.fleet.samples import manifest, result

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = ("meta", "execution", "trial", "outbox", "upload", "refused", "sqlite_sequence")
LIMIT = 100_000


def describe(database: Database, spool: Path) -> str:
    """Return a hash over every row, and over the files that rows still need."""
    rows = {
        table: [list(row) for row in database.connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
        for table in TABLES
    }
    needed = database.connection.execute("SELECT DISTINCT sha256 FROM upload ORDER BY 1")
    files = {name: hashlib.sha256((spool / name).read_bytes()).hexdigest() == name for (name,) in needed}
    text = json.dumps([rows, files], default=lambda blob: blob.hex())
    return hashlib.sha256(text.encode()).hexdigest()


class Workload:
    """An agent's files and what happens to them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._chance = random.Random(seed)
        self.database = Database(folder / "state")
        self.spool = folder / "spool"
        self._spool = Spool(self.spool)
        self._journal = Journal(self.database)
        self._outbox = Outbox(self.database, board="board", limit=LIMIT)
        self._scratch = folder / "scratch"
        self._scratch.mkdir(exist_ok=True)

    def step(self) -> None:
        """Do one thing that is durable when it returns."""
        kinds: list[tuple[Callable[[], object], int]] = [
            (self._finish, 10),
            (self._acknowledge, 4),
            (self._upload, 6),
            (self._change, 2),
            (self._begin, 1),
            (self._restart, 1),
            (self._end, 1),
        ]
        choices, weights = zip(*kinds, strict=True)
        self._chance.choices(choices, weights)[0]()

    def _begin(self) -> None:
        number = self._chance.randrange(1 << 30)
        entry = Entry(
            execution=f"job-{number}.board",
            attempt=1,
            lease_id="lease",
            lease_seconds=60.0,
            version=1,
            manifest=manifest(),
            boot_id="boot",
            started_monotonic=0.0,
        )
        self._journal.begin(entry)

    def _change(self) -> None:
        entry = self._journal.current()
        if entry is not None:
            self._journal.change(entry, version=entry.version + 1, starts=entry.starts + 1)

    def _finish(self) -> None:
        entry = self._journal.current()
        if entry is None:
            self._begin()
            return
        data = self._chance.randbytes(self._chance.choice([100, 3000, 20000]))
        sha256 = hashlib.sha256(data).hexdigest()
        source = self._scratch / sha256
        source.write_bytes(data)
        kept = self._spool.keep({sha256: str(source)})
        source.unlink()
        record = result(sha256[:16], execution=entry.execution, failure=None)
        self._journal.finish_trial(entry, record, self._outbox, kept)

    def _upload(self) -> None:
        upload = self._outbox.next_upload()
        if upload is not None:
            self._outbox.uploaded(upload.sha256)

    def _acknowledge(self) -> None:
        window = self._outbox.window(20)
        if not window:
            return
        last = self._chance.choice(window).seq
        refused = [Refusal(window[0].seq, "result.bad", "scripted")] if self._chance.random() < 0.1 else []
        self._outbox.acknowledge(Ack(stream_epoch=self._outbox.stream_epoch, up_to=last, refused=refused))
        self._spool.keep_only(self._outbox.artifacts())

    def _restart(self) -> None:
        next_session_epoch(self.database)

    def _end(self) -> None:
        self._journal.end()


def main() -> None:
    """Run the steps; a fifth argument is the safety that SQLite is to have, for seeing what is lost without."""
    logging.disable(logging.ERROR)  # scripted refusals
    folder, marks, seed, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    work = Workload(folder, seed)
    for synchronous in sys.argv[5:]:
        work.database.connection.execute(f"PRAGMA synchronous = {synchronous}")
    target = os.open(marks, os.O_WRONLY | os.O_CREAT)
    os.write(target, f"done 0 {describe(work.database, work.spool)}\n".encode())
    for number in range(1, steps + 1):
        os.write(target, f"begin {number}\n".encode())
        work.step()
        os.write(target, f"done {number} {describe(work.database, work.spool)}\n".encode())


if __name__ == "__main__":
    main()
