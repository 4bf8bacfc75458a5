"""The main job over real processes that are killed: every trial has one result."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.fleet import Fleet

TRIALS = 6


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_of_the_agent_leaves_one_result_a_trial(fleet: Fleet, quick_job: Path, seed: int) -> None:
    job = json.loads(fleet.edgedyno("jobs", "submit", str(quick_job), "--json").stdout)["job"]
    chance = random.Random(seed)
    wait_until(lambda: _phase(fleet, job) not in (None, "fetch"), seconds=60, what="the execution's start")
    for _ in range(3):
        time.sleep(chance.uniform(0.0, 4.0))
        fleet.kill("agent")
        fleet.start("agent")
    wait_until(lambda: _state(fleet, job) in ("succeeded", "failed"), seconds=150, what="the job's end")
    assert _state(fleet, job) == "succeeded", fleet.get(f"/jobs/{job}")
    results = fleet.get(f"/results?job={job}")["results"]
    counts = Counter(result["trial"] for result in results)
    assert len(counts) == TRIALS
    assert set(counts.values()) == {1}


def test_kill_9_of_controller_and_broker_loses_nothing(fleet: Fleet, quick_job: Path) -> None:
    job = json.loads(fleet.edgedyno("jobs", "submit", str(quick_job), "--json").stdout)["job"]
    wait_until(lambda: _phase(fleet, job) == "measure", seconds=60, what="measuring")
    fleet.kill("controller")
    fleet.broker.kill()
    time.sleep(3.0)
    fleet.broker.start()
    fleet.start("controller")
    wait_until(fleet.is_healthy, seconds=60, what="the controller's return")
    wait_until(lambda: _state(fleet, job) in ("succeeded", "failed"), seconds=150, what="the job's end")
    assert _state(fleet, job) == "succeeded", fleet.get(f"/jobs/{job}")
    assert len(fleet.get(f"/results?job={job}")["results"]) == TRIALS


def _state(fleet: Fleet, job: str) -> str:
    return str(fleet.get(f"/jobs/{job}")["state"])


def _phase(fleet: Fleet, job: str) -> str | None:
    executions = fleet.get(f"/jobs/{job}")["executions"]
    return executions[0]["phase"] if executions else None
