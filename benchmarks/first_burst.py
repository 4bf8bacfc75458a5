"""Seconds from `POST /jobs` to the first inference on an idle board with cached artifacts. Goal: <= 1 s."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.conftest import wait_until
from tests.system.fleet import Fleet

from edgedyno.cli.client import Controller
from edgedyno.cli.jobs import submit_file

JOB = """\
name: first
model: fastestdet
dataset: coco_ccby
sweep: {precisions: [fp32], threads: [1]}
measure: {precision: 50%, max_seconds: 1}
"""
RUNS = 7


def one(fleet: Fleet, job: Path) -> float:
    """Submit, wait for the end, return the seconds to the first burst; both clocks are this machine's."""
    with Controller(fleet.url) as controller:
        submitted = time.monotonic()
        name = submit_file(controller, job)["job"]
    wait_until(lambda: fleet.get(f"/jobs/{name}")["state"] in ("succeeded", "failed"), seconds=120, what=name)
    return float(fleet.get(f"/results?job={name}")["results"][0]["monotonic_seconds"]) - submitted


def main() -> None:
    """Run the job once to fill the caches, then RUNS times."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.yaml"
        job.write_text(JOB)
        fleet = Fleet(Path(folder))
        try:
            fleet.start_all()
            cold = one(fleet, job)
            warm = [one(fleet, job) for _ in range(RUNS)]
        finally:
            fleet.stop_all()
    print(f"cold caches  {cold:.2f} s")
    print(
        f"warm caches  {statistics.median(warm):.2f} s  (min {min(warm):.2f}, max {max(warm):.2f}, n {RUNS})"
    )


if __name__ == "__main__":
    main()
