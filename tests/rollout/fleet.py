"""A fleet of real processes whose boards can be told how to end; see `tests.agent.fleet.scripted_runner`."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from edgedyno.cli.main import main
from tests.conftest import ROOT, Mosquitto, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

FINAL = ("succeeded", "failed", "canceled")
JOB = """\
name: {name}
model: fastestdet
sweep: {{precisions: [fp32], threads: [1]}}
retry: {{infrastructure: 0, device: 0}}
{more}
"""


class RolloutFleet:
    """Controller, broker and agents in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.broker = Mosquitto(folder)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._jobs = 0
        (folder / "clock").write_text("0")
        self._write(
            "controller",
            data_dir=str(folder / "controller"),
            broker_port=self.broker.port,
            listen_port=self.port,
        )

    def _write(self, name: str, **values: Any) -> None:
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(values))

    def start_controller(self) -> None:
        """Start the controller and wait until it answers."""
        self._start(
            "controller",
            ["-m", "tests.rollout.controller_process"],
            [str(self.folder / "controller.yaml"), str(self.folder / "clock")],
        )
        wait_until(
            self._is_healthy, seconds=60, what=f"a healthy controller, see {self.folder}/controller.log"
        )

    def start_agent(self, name: str, *, real: bool = False) -> None:
        """Start a board's agent; unless its runner is to be real too, it does what its script says."""
        self._write(
            name,
            board=name,
            state_dir=str(self.folder / "state" / name),
            broker={"host": "127.0.0.1", "port": self.broker.port},
            heartbeat="1 s",
        )
        self.script(name)
        config = str(self.folder / f"{name}.yaml")
        if real:
            self._start(name, ["-m", "edgedyno.cli.main", "agent", "run", "--config"], [config])
        else:
            self._start(name, ["-m", "tests.agent.fleet.agent_process"], [config])

    def _start(self, name: str, module: list[str], arguments: list[str]) -> None:
        environment = {**os.environ, "EDGEDYNO_SCRIPT": str(self.folder / f"{name}.json")}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, *module, *arguments],
                cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip

    def wait_online(self, *names: str) -> None:
        """Wait until boards are there with their capabilities."""

        def there() -> bool:
            boards = {board["board"]: board for board in self.get("/boards")["boards"]}
            return all(boards.get(n, {}).get("online") and boards[n]["capabilities"] for n in names)

        wait_until(there, seconds=60, what=f"{names} online, see {self.folder}")

    def kill(self, name: str) -> None:
        """Kill one process with SIGKILL."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        """Stop everything, politely first."""
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.broker.kill()

    def script(self, *boards: str, seconds: float = 0.0, fails: bool = False) -> None:
        """Have these boards' runs take so long, and end so."""
        failure = {"code": "model.invalid", "text": "as the script says"} if fails else None
        text = json.dumps({"trials": 1, "pause_seconds": seconds, "failure": failure})
        for board in boards:
            (self.folder / f"{board}.json").write_text(text)

    def starts(self, board: str) -> int:
        """Return how often a runner was started on a board."""
        path = self.folder / f"{board}.starts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def set_clock(self, utc: dt.datetime) -> None:
        """Set the controller's time of day; it goes on from there."""
        part = self.folder / "clock.part"
        part.write_text(str((utc - dt.datetime.now(dt.timezone.utc)).total_seconds()))
        part.replace(self.folder / "clock")

    def submit(self, more: str, *options: str) -> str:
        """Submit a job with these lines by the command line; return its id."""
        self._jobs += 1
        path = self.folder / f"job{self._jobs}.yaml"
        path.write_text(JOB.format(name=f"job{self._jobs}", more=more))
        done = self.edgedyno("jobs", "submit", str(path), "--json", *options)
        return str(json.loads(done).get("job", done))

    def edgedyno(self, *arguments: str, code: int = 0) -> str:
        """Run an operator's command in this process, which is quicker; return what it printed, words too."""
        out, words = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(words):
            found = main([*arguments, "--controller", self.url])
        assert found == code, words.getvalue() + out.getvalue()
        return out.getvalue() if "--json" in arguments else out.getvalue() + words.getvalue()

    def get(self, path: str) -> Any:
        """Return the JSON of an API path."""
        return httpx.get(f"{self.url}/api/v1{path}", timeout=30, trust_env=False).raise_for_status().json()

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def job(self, job: str) -> Any:
        """Return a job."""
        return self.get(f"/jobs/{job}")

    def states(self, job: str) -> dict[str, str]:
        """Return each board's state."""
        return {one["board"]: one["state"] for one in self.job(job)["executions"]}

    def running(self, job: str) -> list[str]:
        """Return the boards that run a job now."""
        return [board for board, state in self.states(job).items() if state == "IN_PROGRESS"]

    def wait_status(self, job: str, status: str) -> None:
        """Wait for a rollout to be running, waiting, paused or aborted."""
        wait_until(lambda: self.job(job)["rollout"]["status"] == status, seconds=60, what=f"{status}, {job}")

    def wait_end(self, job: str) -> str:
        """Wait for a job's end; return its state."""
        wait_until(
            lambda: self.job(job)["state"] in FINAL, seconds=90, what=f"the end of {job}, see {self.folder}"
        )
        return str(self.job(job)["state"])
