"""Fixtures of the fleet half: a controller stand-in, and agents as real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent.fleet.standin import ArtifactServer, Standin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Mosquitto

ROOT = Path(__file__).parents[3]


class AgentProcess:
    """An agent on the scripted runner, to be started, killed and started again."""

    def __init__(self, folder: Path, broker: Mosquitto | None, **config: Any) -> None:
        self.state_dir = folder / "state"
        self.log = folder / "agent.log"
        self.config = folder / "agent.json"
        self.command = [sys.executable, "-m", "tests.agent.fleet.agent_process"]
        self._script = folder / "script.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.script()
        # Without a broker the agent knows where to go by its identity alone.
        place = {"board": "board", "broker": {"host": broker.host, "port": broker.port}} if broker else {}
        values = {**place, "state_dir": str(self.state_dir), **config}
        self.config.write_text(json.dumps(values))

    def script(self, **script: Any) -> None:
        """Write what runners do from their next start on."""
        self._script.write_text(json.dumps(script))

    @property
    def starts(self) -> list[dict[str, Any]]:
        """What every runner was given, oldest first."""
        file = self._script.with_suffix(".starts")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, str(self.config)],
                cwd=ROOT,
                env={**os.environ, "EDGEDYNO_SCRIPT": str(self._script)},
                stderr=log,
            )

    def kill(self) -> None:
        """Kill it with SIGKILL; its runner stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        self._process = None
        return code

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None


def process_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def controller(mosquitto: Mosquitto) -> Iterator[Standin]:
    """Start a stand-in."""
    standin = Standin(mosquitto.host, mosquitto.port)
    yield standin
    standin.close()


@pytest.fixture
def agent(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[AgentProcess]:
    """Give an agent that is not started yet."""
    process = AgentProcess(tmp_path, mosquitto)
    yield process
    process.kill()
    for start in process.starts:
        if process_alive(start["pid"]):
            os.killpg(start["pid"], signal.SIGKILL)
    if process.log.exists():
        sys.stderr.write(process.log.read_text())


@pytest.fixture
def artifact_server() -> Iterator[ArtifactServer]:
    """Start an HTTP server with artifacts."""
    server = ArtifactServer()
    yield server
    server.close()
