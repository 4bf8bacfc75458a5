"""Hurt a fleet and count: what was lost, doubled, stuck or left behind."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tests.chaos.fleet.boards import HurtFleet
from tests.chaos.fleet.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRIALS = 2
JOB = """\
name: chaos
model: fastestdet
sweep: {precisions: [fp32], threads: [1, 2]}
measure: {precision: 50%, max_seconds: 1}
timeouts: {whole: 10 min, silence: 2 min}
"""
FINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"}
OPEN_JOBS = 3


class Account(Struct, frozen=True):
    """What came of a run."""

    faults: Counter[str]
    executions: Counter[str]
    results: int
    lost: list[str]
    doubled: list[str]
    stuck: list[str]
    orphans: list[str]
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether nothing was lost, doubled, stuck or left behind."""
        return not (self.lost or self.doubled or self.stuck or self.orphans)


def hurt(
    folder: Path,
    *,
    faults: int,
    seed: int,
    boards: int = 3,
    tell: Callable[[str], None] = lambda _: None,
    settle_seconds: float = 300.0,
) -> Account:
    """Run a fleet under `faults` random faults, let it come to rest, and take stock."""
    began = time.monotonic()
    fleet = HurtFleet(folder, boards, seed)
    counted: Counter[str] = Counter()
    try:
        fleet.start_all()
        job = folder / "chaos.yaml"
        job.write_text(JOB)
        chance = random.Random(seed)
        doing = Faults(fleet, seed)
        while counted.total() < faults:
            _keep_busy(fleet, job)
            counted[doing.one()] += 1
            tell(f"{counted.total()} of {faults} faults")
            time.sleep(chance.uniform(0.1, 1.2))
        doing.end()
        executions = _come_to_rest(fleet, settle_seconds)
        results = [
            result
            for name in {execution["job"] for execution in executions}
            for result in (fleet.get(f"/results?job={name}") or {"results": []})["results"]
        ]
    finally:
        fleet.stop_all()
    told = Counter((result["execution"], result["trial"]) for result in results)
    trials = Counter(execution for execution, _ in told)
    done = [one["execution"] for one in executions if one["state"] == "SUCCEEDED"]
    return Account(
        faults=counted,
        executions=Counter(one["state"] for one in executions),
        results=len(results),
        lost=[f"{name}: {trials[name]} of {TRIALS} trials" for name in done if trials[name] < TRIALS],
        doubled=[f"{execution} {trial}: {count}" for (execution, trial), count in told.items() if count > 1],
        stuck=[f"{one['execution']}: {one['state']}" for one in executions if one["state"] not in FINAL],
        orphans=[*fleet.left_behind(), *_left_files(folder)],
        seconds=time.monotonic() - began,
    )


def _keep_busy(fleet: HurtFleet, job: Path) -> None:
    jobs = fleet.get("/jobs")
    if jobs is not None and sum(one["state"] in {"building", "active"} for one in jobs["jobs"]) < OPEN_JOBS:
        fleet.submit(job)


def _come_to_rest(fleet: HurtFleet, seconds: float) -> list[dict[str, Any]]:
    """Wait until every execution has ended, or the time is up; return them all."""
    fleet.start("controller")
    limit = time.monotonic() + seconds
    found: list[dict[str, Any]] = []
    while time.monotonic() < limit:
        jobs = fleet.get("/jobs")
        found = (
            []
            if jobs is None
            else [{**e, "job": one["job"]} for one in jobs["jobs"] for e in one["executions"]]
        )
        if found and all(one["state"] in FINAL for one in found):
            break
        time.sleep(1.0)
    return found


def _left_files(folder: Path) -> list[str]:
    """Return half-written files and files that nothing names any more."""
    parts = [*folder.rglob("*.part"), *(folder / "controller" / "artifacts" / "incoming").glob("*")]
    spooled = [path for path in (folder / "state").glob("*/spool/*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in (*parts, *spooled)]
