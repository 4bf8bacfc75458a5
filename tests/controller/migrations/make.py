"""Makes the dumps of a release: `python -m tests.controller.migrations.make`, once, before its tag.

A real fleet (mosquitto, controller, one agent) measures FastestDet; scripted boards repeat its records under their
own names to bring executions into every state and streams into gaps. What an agent keeps is taken from the real one,
killed while results waited.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from edgedyno.agent.database import Database as AgentDatabase
from edgedyno.agent.outbox import Outbox
from edgedyno.controller.store import tables
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from edgedyno.core.messages import Ack, Progress, Refusal
from edgedyno.core.result import Result
from tests.conftest import wait_until
from tests.controller.migrations.dumps import write_dump
from tests.controller.service.postgresql import PostgreSql, binaries
from tests.controller.service.samples import message
from tests.controller.service.standins import Board
from tests.system.fleet import BOARD, Fleet

if TYPE_CHECKING:
    from edgedyno.core.messages import ExecutionRecord, Response

SCRIPTED = ("rpi4", "nano", "orin", "zero", "jetson")


def submit(fleet: Fleet, name: str, boards: list[str], **more: Any) -> str:
    """Submit a short job for these boards and return its id."""
    spec = {
        "name": name,
        "model": "fastestdet",
        "dataset": "coco_ccby",
        "boards": {"ids": boards},
        "sweep": {"precisions": ["fp32", "int8"], "threads": [1, "all"]},
        "measure": {"precision": "20%", "max_seconds": 8},
        **more,
    }
    path = fleet.folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec))
    return str(msgspec.json.decode(fleet.edgedyno("jobs", "submit", str(path), "--json").stdout)["job"])


def states(fleet: Fleet, job: str) -> dict[str, str]:
    """Return the state of each board's execution."""
    return {e["board"]: e["state"] for e in fleet.get(f"/jobs/{job}")["executions"]}


def take(board: Board, job: str) -> Response:
    """Ask for work until it is this job's."""
    answers: list[Response] = []

    def asked() -> bool:
        answers.append(board.next())
        return answers[-1].record is not None

    wait_until(asked, seconds=60, what=f"{job} on {board.name}")
    record = answers[-1].record
    assert record is not None
    assert record.job == job
    return answers[-1]


def copies(real: list[Result], record: ExecutionRecord | None) -> list[Result]:
    """Return real records under another execution's name."""
    assert record is not None
    return [
        msgspec.structs.replace(
            one, job=record.job, execution=record.execution, board=record.board, attempt=record.attempt
        )
        for one in real
    ]


def fill_states(fleet: Fleet, boards: dict[str, Board], real: list[Result]) -> str:
    """Bring one job's executions into many states; return the job whose execution is to be marked REMOVED."""
    job = submit(fleet, "states", list(SCRIPTED))
    progress = Progress(
        phase="measure", trials_done=2, trials_total=4, current="int8 all", elapsed_seconds=3.5
    )
    running = boards["rpi4"].update(take(boards["rpi4"], job), "IN_PROGRESS", progress=progress)
    first, second, third, *_ = copies(real, running.record)
    boards["rpi4"].deliver(message(first, 1), message(second, 2))
    boards["rpi4"].send("result", message(third, 4))
    failed = take(boards["nano"], job)
    old = copies(real, failed.record)
    boards["nano"].deliver(message(old[0], 1))
    boards["nano"].update(failed, "FAILED", reason="runner.died: 4 times, at last with: exit code 1")
    fleet.edgedyno("jobs", "retry", job)
    again = take(boards["nano"], job)
    new = copies(real, again.record)
    boards["nano"].deliver(message(new[0], 2), message(new[1], 3), message(old[2], 4), message(old[1], 5))
    boards["nano"].update(again, "SUCCEEDED")
    boards["orin"].update(take(boards["orin"], job), "REJECTED", reason="runtime.missing: no tensorrt here")
    boards["jetson"].update(take(boards["jetson"], job), "FAILED", reason="artifact.missing: gone")
    timed = submit(fleet, "timed", ["jetson"], timeouts={"whole": "1 s"})
    take(boards["jetson"], timed)
    wait_until(lambda: states(fleet, timed) == {"jetson": "TIMED_OUT"}, what="timed out")
    canceled = submit(fleet, "canceled", ["zero"])
    fleet.edgedyno("jobs", "cancel", canceled)
    return submit(fleet, "removed", ["orin"])


def fill(fleet: Fleet) -> None:
    """Run everything; at the end controller and agent are dead and their files as a power cut leaves them."""
    job = submit(fleet, "quick", [BOARD])
    wait_until(lambda: fleet.get(f"/jobs/{job}")["state"] == "succeeded", seconds=240, what=job)
    assert fleet.get(f"/jobs/{job}/verdict")["verdicts"]
    real = [msgspec.convert(one, Result) for one in fleet.get(f"/results?job={job}")["results"]]
    boards = {name: Board(fleet.broker.port, name, session_epoch=3) for name in SCRIPTED}
    for board in boards.values():
        board.be_born()
    wait_until(lambda: len(fleet.get("/boards")["boards"]) == len(SCRIPTED) + 1, what="boards")
    fleet.edgedyno("boards", "label", "rpi4", "site=lab", "fan=no")
    removed = fill_states(fleet, boards, real)
    fleet.edgedyno("boards", "drain", "zero")
    again = submit(fleet, "kept", [BOARD])
    wait_until(lambda: states(fleet, again) == {BOARD: "IN_PROGRESS"}, seconds=60, what="the last job")
    fleet.kill("controller")
    for board in boards.values():
        board.leave()
    wait_until(lambda: waiting(fleet) >= 3, seconds=120, what="results in the outbox")
    fleet.kill("agent")
    # Nothing in this version makes this state, but its protocol has it.
    mark = sqlite3.connect(fleet.folder / "controller" / "controller.sqlite3")
    mark.execute("UPDATE executions SET state = 'REMOVED' WHERE job = ?", (removed,))
    mark.commit()
    mark.close()


def waiting(fleet: Fleet) -> int:
    """Return how many results wait on the real board."""
    database = sqlite3.connect(fleet.folder / "agent" / "agent.db")
    count = int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])
    database.close()
    return count


def dump(path: Path) -> str:
    """Return an SQLite file as SQL, its `user_version` included, which iterdump leaves out."""
    database = sqlite3.connect(path)
    number = database.execute("PRAGMA user_version").fetchone()[0]
    lines = [f"PRAGMA user_version = {number};", *database.iterdump()]
    database.close()
    return "\n".join(lines) + "\n"


def dump_agent(folder: Path) -> str:
    """Have one result refused, as a controller may do, and return the agent's database as SQL."""
    database = AgentDatabase(folder)
    outbox = Outbox(database, board=BOARD, limit=1000)
    first = database.connection.execute("SELECT min(seq) FROM outbox").fetchone()[0]
    refusal = Refusal(first, "execution.unknown", "found no such execution at this controller")
    outbox.acknowledge(Ack(outbox.stream_epoch, first, [refusal]))
    database.close()
    return dump(folder / "agent.db")


def dump_postgresql(source: Path) -> str:
    """Copy an SQLite database's rows into PostgreSQL's tables of this version and return what pg_dump says."""
    programs = binaries()
    assert programs, "found no PostgreSQL server"
    server = PostgreSql(programs)
    server.start()
    try:
        url = server.url()
        target, rows = Database(url), Database(f"sqlite:///{source}")
        migrate(target.engine)
        with rows.engine.connect() as read, target.engine.begin() as write:
            for table in tables.metadata.sorted_tables:
                found = [dict(row) for row in read.execute(table.select()).mappings()]
                write.execute(table.delete())
                if found:
                    write.execute(table.insert(), found)
                for column in ("position", "id"):
                    if column in table.c:
                        write.exec_driver_sql(
                            f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), "
                            f"(SELECT max({column}) FROM {table.name}))"
                        )
        target.close()
        rows.close()
        command = [str(programs / "pg_dump"), "--no-owner", "--no-privileges", url]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    finally:
        server.stop()


def main() -> int:
    """Make the three dumps of this version."""
    release = version("edgedyno")
    folder = Path(tempfile.mkdtemp(prefix="edgedyno-dumps-"))
    fleet = Fleet(folder)
    try:
        fleet.start_all()
        fill(fleet)
    finally:
        fleet.stop_all()
    stored = folder / "controller" / "controller.sqlite3"
    for kind, sql in (
        ("sqlite", dump(stored)),
        ("postgresql", dump_postgresql(stored)),
        ("agent", dump_agent(folder / "agent")),
    ):
        found = next((place for place in (str(Path.home()), sys.prefix, str(folder)) if place in sql), None)
        assert found is None, f"the {kind} dump names a folder of this machine: {found}"
        path = write_dump(release, kind, sql)
        sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
