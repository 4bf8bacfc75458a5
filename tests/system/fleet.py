"""A whole fleet of real processes on loopback for system tests: mosquitto, controller, one agent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.conftest import Mosquitto, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

ME = [sys.executable, "-m", "edgedyno.cli.main"]
BOARD = "bench"


class Fleet:
    """Real processes in one folder; each can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        *,
        builders: dict[str, str] | None = None,
        runtimes: list[dict[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.broker = Mosquitto(folder)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write("controller", data_dir=str(folder / "controller"), broker_port=self.broker.port,
                    listen_port=int(self.url.rpartition(":")[2]), builders=builders or {})  # fmt: skip
        self._write("agent", board=BOARD, state_dir=str(folder / "agent"),
                    broker={"host": "127.0.0.1", "port": self.broker.port}, heartbeat="2 s",
                    runtimes=runtimes or [])  # fmt: skip

    def _write(self, name: str, **values: Any) -> None:
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(values))

    def start(self, name: str) -> int:
        """Start `controller` or `agent`; return its pid."""
        log = (self.folder / f"{name}.log").open("ab")
        command = [*ME, name, "run", "--config", str(self.folder / f"{name}.yaml")]
        with log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._processes[name] = process
        return process.pid

    def start_all(self) -> None:
        """Start everything and wait until the board is online."""
        self.broker.start()
        self.start("controller")
        wait_until(self.is_healthy, seconds=60, what=f"controller healthy, see {self.folder}/controller.log")
        self.start("agent")
        wait_until(self.is_online, seconds=60, what=f"agent online, see {self.folder}/agent.log")

    def pid(self, name: str) -> int:
        """Return the pid of a running process."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """Kill one process as a power cut would."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """Stop what still runs, politely first."""
        for process in reversed(self._processes.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.broker.kill()

    def is_healthy(self) -> bool:
        """Tell whether the controller answers."""
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def is_online(self) -> bool:
        """Tell whether the board is online."""
        return any(board["online"] for board in self.get("/boards")["boards"])

    def get(self, path: str) -> Any:
        """Return the JSON of an API path."""
        return httpx.get(f"{self.url}/api/v1{path}", timeout=30, trust_env=False).raise_for_status().json()

    def edgedyno(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run an operator's command against this controller."""
        environment = {**os.environ, "EDGEDYNO_CONTROLLER_URL": self.url}
        done = subprocess.run(
            [*ME, *arguments], env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done
