"""The fleet that is hurt: broker, controllers, and boards, each behind wires, a cable and on a disk of its own."""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from msgspec import Struct

from edgedyno.controller.security.tokens import create_token
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from tests.chaos.fleet import disks, injected, network, witness
from tests.chaos.fleet.observer import Observer
from tests.chaos.fleet.processes import Keeper, Process, marked
from tests.chaos.fleet.proxy import Wire, Wires
from tests.chaos.fleet.servers import Broker, Postgres
from tests.conftest import free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

MARK = "EDGEDYNO_CHAOS"
BOARD_MEGABYTES, CONTROLLER_MEGABYTES = 100, 200
LEASE_SECONDS = 6
COPIED_NOT = shutil.ignore_patterns("ballast", "reserve", "artifacts", "agent.lock")


class Means(Struct, frozen=True):
    """What this machine allows; each field says why it does not, or is None."""

    cables: str | None
    disks: str | None


def means_here(folder: Path) -> Means:
    """Find out what this machine allows."""
    return Means(cables=network.why_not(), disks=disks.why_not(folder))


class Board:
    """One board: its agent, its wires, and where the machine allows it, its cable and its disk."""

    def __init__(self, fleet: Fleet, number: int, seed: int) -> None:
        self.name = f"board{number}"
        self.cable = None if fleet.means.cables else network.Cable(number)
        if self.cable is not None:
            self.cable.plug()
        host = self.cable.address if self.cable else "127.0.0.1"
        self.mqtt = Wire(fleet.wires, host, [fleet.broker.port], messages=True, seed=seed)
        self.http = Wire(fleet.wires, host, fleet.http_ports, messages=False, seed=seed)
        self.state = fleet.folder / "state" / self.name
        self.disk = None if fleet.means.disks else disks.Disk(self.state, BOARD_MEGABYTES)
        if self.disk is not None:
            self.disk.mount()
        self.ledger = fleet.folder / f"{self.name}.ledger"
        self._boot = fleet.folder / f"{self.name}.boot"
        self.clock = Clock(fleet.folder / f"{self.name}.clock")
        config = fleet.write(
            self.name, board=self.name, state_dir=str(self.state), heartbeat="1 s", cache_size="60 MB",
            broker={"host": host, "port": self.mqtt.port}, controller_url=f"http://{host}:{self.http.port}",
            controller_token_file=str(fleet.token_file(self.name)),
        )  # fmt: skip
        inside = self.cable.inside if self.cable else []
        self.agent = fleet.process(
            self.name, [*inside, *injected.ME, "agent", str(config)],
            **{injected.BOOT: self._boot, injected.LEDGER: self.ledger, injected.CLOCK: self.clock.file},
        )  # fmt: skip

    def boot_anew(self) -> None:
        """Give the next start another boot id, and a monotonic clock that begins near zero."""
        file = self._boot.with_suffix(".boot-id")
        file.write_text(f"{uuid.uuid4()}\n")
        self._boot.write_text(json.dumps({"file": str(file), "began": time.monotonic() - 30.0}))

    def take_away(self) -> None:
        """Remove wires, cable and disk."""
        self.mqtt.close()
        self.http.close()
        if self.cable is not None:
            self.cable.unplug()
        if self.disk is not None:
            self.disk.unmount()


class Clock:
    """The file by which a process's wall clock is stepped."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.step(0.0)

    def step(self, offset_seconds: float) -> None:
        """Set the clock this far from the real one."""
        if not self.file.exists():
            self.file.write_bytes(bytes(8))
        with self.file.open("r+b") as file:
            file.write(struct.pack("d", offset_seconds))


class Fleet:
    """Real processes in one folder, marked so that none can be left behind unseen."""

    def __init__(
        self, folder: Path, *, boards: int, seed: int, replicas: bool, means: Means, variant: str = ""
    ) -> None:
        self.folder = folder
        self.means = means
        self.mark = f"{MARK}={seed}-{os.getpid()}-{folder.name}"
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self._variant = variant
        self._processes: list[Process] = []
        self.refusals: Counter[str] = Counter()
        """New work that was refused during a fault."""
        self.postgres = Postgres() if replicas else None
        self.wires = Wires()
        self.broker = Broker(folder, {MARK: self.mark.partition("=")[2]})
        self.clock = Clock(folder / "controller.clock")
        self.data = folder / "controller"
        self.data_disk = None if means.disks or replicas else disks.Disk(self.data, CONTROLLER_MEGABYTES)
        if self.data_disk is not None:
            self.data_disk.mount()
        self.token = self._make_tokens(boards)
        self.http_ports = [free_port() for _ in range(2 if replicas else 1)]
        self.controllers = [self._controller(number, port) for number, port in enumerate(self.http_ports)]
        self.boards = [Board(self, number, seed + number) for number in range(boards)]
        self.stranger = self._stranger()
        self.observer = Observer(self.broker.port)
        self._keeper = Keeper([self.broker, *self._processes])

    @property
    def database_url(self) -> str:
        """Where the controller's database is."""
        return self.postgres.url if self.postgres else f"sqlite:///{self.data / 'controller.sqlite3'}"

    def token_file(self, board: str) -> Path:
        """Return where a board's token lies."""
        return self.folder / f"{board}.token"

    def _make_tokens(self, boards: int) -> str:
        """Make the database with a token for each board, named after it, and return the operator's."""
        self.data.mkdir(exist_ok=True)
        database = Database(self.database_url)
        migrate(database.engine)
        database.write_now(witness.begin)
        for number in range(boards):
            board = f"board{number}"
            self.token_file(board).write_text(database.write_now(create_token, board, "board"))
            self.token_file(board).chmod(0o600)
        secret = database.write_now(create_token, "operator", "admin")
        database.close()
        return secret

    def write(self, name: str, **values: Any) -> Path:
        """Write a configuration file."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(values))
        return file

    def process(self, name: str, command: list[str], **environment: Any) -> Process:
        """Make a process of this fleet."""
        values = {
            MARK: self.mark.partition("=")[2],
            "TMPDIR": str(self._temporary),
            "EDGEDYNO_SPEEDS": "0",
            injected.BREAK: self._variant,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            **{key: str(value) for key, value in environment.items()},
        }
        made = Process(name, command, self.folder, values)
        self._processes.append(made)
        return made

    def _controller(self, number: int, port: int) -> Process:
        name = f"controller{number}"
        more = {"database_url": self.postgres.url, "shared_group": "replicas"} if self.postgres else {}
        config = self.write(name, data_dir=str(self.data), broker_port=self.broker.port, listen_port=port,
                            lease_seconds=f"{LEASE_SECONDS} s", **more)  # fmt: skip
        return self.process(
            name, [*injected.ME, "controller", str(config)], **{injected.CLOCK: self.clock.file}
        )

    def _stranger(self) -> Process:
        """Make another controller at the same broker with a database of its own, which is not started."""
        config = self.write("stranger", data_dir=str(self.folder / "stranger"), listen_port=free_port(),
                            broker_port=self.broker.port, lease_seconds=f"{LEASE_SECONDS} s")  # fmt: skip
        return self.process("stranger", [*injected.ME, "controller", str(config)])

    def start_all(self) -> None:
        """Start everything and wait until all boards are online."""
        self.broker.start()
        self.broker.wait()
        self.observer.start()
        self.start_controllers()
        first, *others = self.boards
        first.agent.start()
        kept = first.state / "capabilities.json"
        wait_until(kept.exists, seconds=90, what=f"probing, see {self.folder}/{first.name}.log")
        for board in others:
            board.state.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, board.state / kept.name)
            board.agent.start()
        wait_until(self.all_online, seconds=120, what=f"all boards online, see {self.folder}")

    def start_controllers(self) -> None:
        """Start every controller of this fleet."""
        for controller in self.controllers:
            controller.start()

    def stop_processes(self) -> None:
        """Stop everything, politely first."""
        self._keeper.stop()
        self.observer.stop()
        programs = (*(board.agent for board in self.boards), self.stranger, *self.controllers)
        for process in programs:
            process.terminate()
        for process in programs:
            process.end()
        self.broker.kill()

    def take_away(self) -> None:
        """Copy what lies on the small disks, and remove everything that is not a file in the folder."""
        for board in self.boards:
            if board.disk is not None:
                shutil.copytree(board.state, self.folder / "kept" / board.name, ignore=COPIED_NOT)
        if self.data_disk is not None:
            shutil.copytree(self.data, self.folder / "kept" / "controller", ignore=COPIED_NOT)
        for board in self.boards:
            board.take_away()
        if self.data_disk is not None:
            self.data_disk.unmount()
        if self.postgres is not None:
            self.postgres.stop()
        self.wires.stop()

    def ended_by_themselves(self) -> list[str]:
        """Return the processes that ended although nobody had made them."""
        return [f"{process.name} ended with {code}" for process in self._processes for code in process.ends]

    def left_behind(self, seconds: float = 15.0) -> list[str]:
        """Return our processes that still run some time after everything was stopped."""
        limit = time.monotonic() + seconds
        while (found := list(marked(self.mark))) and time.monotonic() < limit:
            time.sleep(0.5)
        return found

    def temporary_files(self) -> list[str]:
        """Return what lies in the folder for temporary files."""
        return [str(path.relative_to(self.folder)) for path in self._temporary.rglob("*") if path.is_file()]

    def all_online(self) -> bool:
        """Tell whether a controller answers and sees every board."""
        boards = self.get("/boards")
        return boards is not None and sum(board["online"] for board in boards["boards"]) == len(self.boards)

    def get(self, path: str, *, seconds: float = 10.0) -> Any:
        """Return the JSON of an API path; None when no controller answers."""
        return self.call("GET", path, seconds=seconds)

    def call(self, method: str, path: str, *, seconds: float = 10.0, **options: Any) -> Any:
        """Return the JSON of an answer by the first controller that gives a good one."""
        for port in self.http_ports:
            url = f"http://127.0.0.1:{port}/api/v1{path}"
            try:
                headers = {"Authorization": f"Bearer {self.token}"}
                answer = httpx.request(
                    method, url, timeout=seconds, trust_env=False, headers=headers, **options
                )
                return answer.raise_for_status().json()
            except (httpx.HTTPError, ValueError):
                continue
        return None
