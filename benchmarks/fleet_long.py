"""Whether a controller grows: simulated boards work for half an hour; its memory, files, lag and database are watched.

    python benchmarks/fleet_long.py [--boards 200] [--minutes 30] [--trial-seconds 5] [--json]

Every board runs execution after execution (20 results, one every five seconds, renewals, progress, heartbeats), and
the metrics are scraped as Prometheus does. Prints every minute, and at the end the slope of each quantity, with a 95 %
interval from a moving-block bootstrap of the residuals: over the part after the first sixth, in which caches still
fill, and over the second half, in which they should be full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.controller.service.samples import capabilities
from tests.simulated.board import Plan
from tests.simulated.fleet import SimulatedFleet, real_record

EVERY_SECONDS = 15.0  # as Prometheus scrapes
RESAMPLES = 2000
BLOCK = 8  # two minutes: neighbouring samples are alike
UNITS = {
    "memory_bytes": "MB/h",
    "file_handles": "1/h",
    "lag_p99_seconds": "s/h",
    "queue_messages": "1/h",
    "database_bytes": "MB/h",
    "scrape_seconds": "s/h",
}
PARTS = {"after the first sixth": 6, "second half": 2}
Array = npt.NDArray[np.float64]


async def sample(fleet: SimulatedFleet, http: httpx.AsyncClient) -> dict[str, float]:
    """Return the controller's state now."""
    started = time.monotonic()
    text = (await http.get("/metrics")).raise_for_status().text
    scrape_seconds = time.monotonic() - started
    process = fleet.controller
    buckets = [
        (float(bound.replace("+Inf", "inf")), float(count))
        for bound, count in re.findall(
            r'^edgedyno_ingest_lag_seconds_bucket\{le="(\S+)"\} (\S+)$', text, re.MULTILINE
        )
    ]
    return {
        "memory_bytes": process.memory_info().rss,
        "file_handles": process.num_fds(),
        "queue_messages": float(re.findall(r"^edgedyno_ingest_queue_messages (\S+)$", text, re.MULTILINE)[0]),
        "database_bytes": float(re.findall(r"^edgedyno_database_bytes (\S+)$", text, re.MULTILINE)[0]),
        "scrape_seconds": scrape_seconds,
        "cpu_seconds": sum(process.cpu_times()[:2]),
        **{f"lag_le_{bound:g}": count for bound, count in buckets},
    }


def lag_p99(before: dict[str, float], now: dict[str, float]) -> float:
    """Return the smallest bound that 99 % of the results between two samples kept."""
    bounds = sorted(
        (float(name[7:]), now[name] - before.get(name, 0.0)) for name in now if name[:7] == "lag_le_"
    )
    total = bounds[-1][1]
    return next(bound for bound, count in bounds if count >= 0.99 * total) if total else 0.0


def slope(times: Array, values: Array) -> tuple[float, float, float]:
    """Return the slope for an hour with its 95 % interval."""
    hours = times / 3600.0
    fitted = np.polyval(np.polyfit(hours, values, 1), hours)
    residuals = values - fitted
    draw = np.random.default_rng(0)
    count = len(values)
    slopes = []
    for _ in range(RESAMPLES):
        starts = draw.integers(0, max(1, count - BLOCK + 1), size=-(-count // BLOCK))
        picked = np.concatenate([residuals[start : start + BLOCK] for start in starts])[:count]
        slopes.append(np.polyfit(hours, fitted + picked, 1)[0])
    low, high = np.quantile(slopes, [0.025, 0.975])
    return float(np.polyfit(hours, values, 1)[0]), float(low), float(high)


async def keep_busy(fleet: SimulatedFleet) -> None:
    """Submit a job for all boards whenever the last one is through."""
    number = 0
    while True:
        number += 1
        await fleet.submit(f"long{number}")
        await fleet.until(lambda: fleet.working > 0, seconds=300, what="a start")
        await fleet.until(lambda: fleet.working == 0, seconds=900, what="an end")


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run to the end and return what was seen."""
    plan = Plan(
        record=real_record(), capabilities=capabilities(), trials=20, trial_seconds=arguments.trial_seconds
    )
    rows: list[dict[str, float]] = []
    with SimulatedFleet(folder, arguments.boards, plan=plan) as fleet:
        await fleet.connect(seconds=180)
        busy = asyncio.create_task(keep_busy(fleet))
        started = time.monotonic()
        async with httpx.AsyncClient(base_url=fleet.url, trust_env=False, timeout=60) as http:
            while (at := time.monotonic() - started) < arguments.minutes * 60 and not busy.done():
                row = await sample(fleet, http)
                row["lag_p99_seconds"] = lag_p99(rows[-1] if rows else {}, row)
                rows.append({"seconds": at, **row})
                if len(rows) % 4 == 1:
                    tell(rows[-1])
                await asyncio.sleep(max(0.0, len(rows) * EVERY_SECONDS - (time.monotonic() - started)))
        if busy.done():
            busy.result()
        busy.cancel()
        stored = fleet.count("SELECT count(*) FROM results WHERE counted")
        await fleet.until(lambda: fleet.waiting == 0, seconds=60, what="empty outboxes")
        found = {"sent": sum(board._seq for board in fleet.boards)}  # noqa: SLF001 the simulation's own count
        await fleet.leave()
    return {"rows": rows, "stored": stored, **found}


def tell(row: dict[str, float]) -> None:
    """Print one line of the way."""
    print(
        f"{row['seconds'] / 60:5.1f} min  {row['memory_bytes'] / 1e6:6.1f} MB  {row['file_handles']:3.0f} files  "
        f"lag p99 <= {row['lag_p99_seconds']:g} s  queue {row['queue_messages']:.0f}  "
        f"database {row['database_bytes'] / 1e6:.1f} MB  cpu {row['cpu_seconds']:.0f} s  "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def conclude(late: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return the slope of each quantity in these samples."""
    times = np.array([row["seconds"] for row in late])
    found = {}
    for name, unit in UNITS.items():
        scale = 1e6 if unit == "MB/h" else 1.0
        middle, low, high = slope(times, np.array([row[name] for row in late]) / scale)
        found[name] = {"per_hour": middle, "low": low, "high": high, "last": late[-1][name] / scale}
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--trial-seconds", type=float, default=5.0, help="shorter: more results in less time")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(arguments, Path(folder)))
    count = len(found["rows"])
    slopes = {part: conclude(found["rows"][count // cut :]) for part, cut in PARTS.items()}
    if arguments.json:
        print(json.dumps({**found, "slopes": slopes}))
    for part, quantities in slopes.items():
        print(part)
        for name, each in quantities.items():
            print(
                f"  {name:20} {each['per_hour']:+10.3f} {UNITS[name]:5} "
                f"[{each['low']:+.3f}, {each['high']:+.3f}]  last {each['last']:.4g}"
            )
    print(f"results {found['sent']}, stored {found['stored']:.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
