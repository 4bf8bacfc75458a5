"""The fleet that is hurt: broker, controller, and boards, each behind a wire of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.chaos.fleet.proxy import Wire, Wires
from tests.conftest import Mosquitto, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ME = [sys.executable, "-m", "edgedyno.cli.main"]
MARK = "EDGEDYNO_CHAOS"


class Board:
    """One board's wires."""

    def __init__(self, wires: Wires, name: str, broker: int, http: int, seed: int) -> None:
        self.name = name
        self.mqtt = Wire(wires, free_port(), broker, messages=True, seed=seed)
        self.http = Wire(wires, free_port(), http, messages=False, seed=seed)


class HurtFleet:
    """Real processes in one folder, marked so that none can be left behind unseen."""

    def __init__(self, folder: Path, boards: int, seed: int) -> None:
        self.folder = folder
        self._mark = f"{seed}-{os.getpid()}"
        self.wires = Wires()
        self.broker = Mosquitto(folder)
        self.port = free_port()
        self.boards = [
            Board(self.wires, f"board{number}", self.broker.port, self.port, seed + number)
            for number in range(boards)
        ]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write("controller", data_dir=str(folder / "controller"), broker_port=self.broker.port,
                    listen_port=self.port, lease_seconds="6 s")  # fmt: skip
        for board in self.boards:
            self._write(board.name, board=board.name, state_dir=str(folder / "state" / board.name),
                        broker={"host": "127.0.0.1", "port": board.mqtt.port}, heartbeat="1 s",
                        controller_url=f"http://127.0.0.1:{board.http.port}")  # fmt: skip

    def _write(self, name: str, **values: Any) -> None:
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(values))

    def start(self, name: str) -> None:
        """Start the controller or a board's agent, unless it runs."""
        if name in self._processes and self._processes[name].poll() is None:
            return
        kind = "controller" if name == "controller" else "agent"
        command = [*ME, kind, "run", "--config", str(self.folder / f"{name}.yaml")]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, MARK: self._mark}
            )

    def start_all(self) -> None:
        """Start everything and wait until all boards are online."""
        self.broker.start()
        self.start("controller")
        for board in self.boards:
            self.start(board.name)
        wait_until(self.all_online, seconds=90, what=f"all boards online, see {self.folder}")

    def kill(self, name: str) -> None:
        """Kill one process with SIGKILL."""
        process = self._processes[name]
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def below(self, name: str) -> list[int]:
        """Return the processes that a board's agent has started, runner first."""
        return sorted(_below(self._processes[name].pid))

    def stop_all(self) -> None:
        """Stop everything, politely first."""
        for process in reversed(self._processes.values()):
            if process.poll() is None:
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.broker.kill()
        for board in self.boards:
            board.mqtt.close()
            board.http.close()
        self.wires.stop()

    def left_behind(self, seconds: float = 15.0) -> list[str]:
        """Return the command lines of our processes that still run some time after everything was stopped."""
        limit = time.monotonic() + seconds
        while (found := list(self._marked())) and time.monotonic() < limit:
            time.sleep(0.5)
        return found

    def _marked(self) -> Iterator[str]:
        wanted = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if command:
                        yield command
            except OSError:
                continue

    def all_online(self) -> bool:
        """Tell whether the controller answers and sees every board."""
        boards = self.get("/boards")
        return boards is not None and sum(board["online"] for board in boards["boards"]) == len(self.boards)

    def get(self, path: str) -> Any:
        """Return the JSON of an API path; None when the controller does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1{path}"
            return httpx.get(url, timeout=10, trust_env=False).raise_for_status().json()
        except httpx.HTTPError:
            return None

    def submit(self, job: Path) -> bool:
        """Submit a job; False when the controller does not take it now."""
        environment = {**os.environ, "EDGEDYNO_CONTROLLER_URL": f"http://127.0.0.1:{self.port}"}
        done = subprocess.run(
            [*ME, "jobs", "submit", str(job)], env=environment, capture_output=True, timeout=120, check=False
        )
        return done.returncode == 0


def _below(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _below(int(child))
    except OSError:
        return
