"""Keeps the fleet busy as a person would: submits jobs, cancels a few, tries failed ones again."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from edgedyno.cli.client import Controller
from edgedyno.core.errors import EdgedynoError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chaos.fleet.fleet import Fleet

EVERY_SECONDS = 1.0
CANCEL_SHARE, RETRY_SHARE = 0.02, 0.1
TRIALS = 3
JOB = """\
name: chaos
model: fastestdet
sweep: {precisions: [fp32], threads: [1, 2], cores: [all, "0"]}
measure: {precision: 50%, max_seconds: 1}
"""
# One job in three has so little patience that absent boards lose their executions, whose results come late.
TIMEOUTS = (
    "{whole: 20 min, silence: 10 min}",
    "{whole: 20 min, silence: 10 min}",
    "{whole: 2 min, silence: 10 s}",
)


class Operator:
    """A thread that works through the fleet's HTTP API."""

    def __init__(self, fleet: Fleet, seed: int, *, open_jobs: int) -> None:
        self._fleet = fleet
        self._open_jobs = open_jobs
        self._chance = random.Random(seed)
        self.did: Counter[str] = Counter()
        """What was done, and under `refused: CODE` what was not taken."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator", daemon=True)
        os.environ["XDG_CACHE_HOME"] = str(fleet.folder / "cache")
        self._files = [self._write(number, timeouts) for number, timeouts in enumerate(TIMEOUTS)]

    def _write(self, number: int, timeouts: str) -> Path:
        file = self._fleet.folder / f"job{number}.yaml"
        file.write_text(f"{JOB}timeouts: {timeouts}\n")
        return file

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being done."""
        self._stop.set()
        self._thread.join(120)

    def submit_last(self) -> str:
        """Submit a job with patience, when all is over, and return its id."""
        from edgedyno.cli.jobs import submit_file

        with Controller(
            f"http://127.0.0.1:{self._fleet.http_ports[0]}", token=self._fleet.token
        ) as controller:
            answer, _ = submit_file(controller, self._files[0])
        return str(answer["job"])

    def _run(self) -> None:
        while not self._stop.wait(EVERY_SECONDS):
            jobs = self._fleet.get("/jobs")
            if jobs is not None:
                self._look_after(jobs["jobs"])

    def _look_after(self, jobs: list[dict[str, Any]]) -> None:
        open_jobs = [job["job"] for job in jobs if job["state"] in {"building", "active"}]
        failed = [job["job"] for job in jobs if _may_be_tried_again(job)]
        if len(open_jobs) < self._open_jobs:
            self._submit()
        elif self._chance.random() < CANCEL_SHARE:
            self._act(self._chance.choice(open_jobs), "cancel")
        if failed and self._chance.random() < RETRY_SHARE:
            self._act(self._chance.choice(failed), "retry")

    def _act(self, job: str, action: str) -> None:
        done = self._fleet.call("POST", f"/jobs/{job}/{action}")
        self.did[action if done is not None else f"refused: {action}"] += 1

    def _submit(self) -> None:
        from edgedyno.cli.jobs import submit_file

        port = self._chance.choice(self._fleet.http_ports)
        try:
            with Controller(f"http://127.0.0.1:{port}", token=self._fleet.token) as controller:
                submit_file(controller, self._chance.choice(self._files))
        except EdgedynoError as error:
            self.did[f"refused: submit ({error.code})"] += 1
        else:
            self.did["submit"] += 1


def _may_be_tried_again(job: dict[str, Any]) -> bool:
    states = {execution["state"] for execution in job["executions"]}
    return job["state"] in {"active", "failed"} and bool(states & {"FAILED", "TIMED_OUT"})
