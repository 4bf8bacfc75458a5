"""How a controller does with a large fleet: simulated boards on a real broker, the real service in its own process.

    python benchmarks/fleet.py [--boards 1000] [--rounds 5] [--rate 500] [--seconds 120] [--json]

Prints, each with an interval: submit to IN_PROGRESS over the boards; result to ack at `--rate` results a second,
beside the echo of the broker alone at the same rate (the limit) and beside the same results (what the machine was
busy with); the time until every board is online and every outbox empty after a restart of the broker, and how many
connects a second that took; memory and CPU of the controller. Boards, broker and controller share this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.simulated.client import Client
from tests.simulated.fleet import SimulatedFleet, real_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESAMPLES = 2000
PROBES_PER_SECOND = 20


def quantile(values: Sequence[float], q: float) -> float:
    """Return a quantile by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def quantile_interval(values: Sequence[float], q: float) -> tuple[float, float]:
    """Return the 95 % interval of a quantile by order statistics (normal approximation of the binomial)."""
    ordered, n = sorted(values), len(values)
    spread = 1.96 * (n * q * (1 - q)) ** 0.5
    low, high = max(0, int(n * q - spread)), min(n - 1, int(n * q + spread) + 1)
    return ordered[low], ordered[high]


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile-bootstrap interval of the median; with few values it is their range."""
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def of_rounds(rounds: Sequence[Sequence[float]], q: float) -> dict[str, float]:
    """Return the median over rounds of a quantile, with the interval of that median."""
    each = [quantile(one, q) for one in rounds]
    low, high = median_interval(each)
    return {"median": statistics.median(each), "low": low, "high": high}


async def submit_rounds(fleet: SimulatedFleet, rounds: int) -> dict[str, Any]:
    """Submit a job for all boards, again and again; time from the submission until each has it IN_PROGRESS."""
    times: list[list[float]] = []
    for number in range(rounds):
        began: list[float] = []
        fleet.told.began = lambda _execution, at, began=began: began.append(at)  # type: ignore[misc]
        started = time.monotonic()
        await fleet.submit(f"round{number}")
        await fleet.until(lambda: fleet.working == len(fleet.boards), seconds=120, what="all IN_PROGRESS")
        times.append([at - started for at in began])
        if number < rounds - 1:
            for board in fleet.boards:
                board.end()
            await fleet.until(lambda: fleet.working == 0, seconds=120, what="all ended")
            await asyncio.sleep(2.0)
    return {
        "p50_seconds": of_rounds(times, 0.5),
        "p99_seconds": of_rounds(times, 0.99),
        "last_seconds": of_rounds(times, 1.0),
        "rounds": rounds,
    }


class Echo:
    """Publishes to itself through the broker and keeps how long that took."""

    def __init__(self, port: int, payload_bytes: int) -> None:
        self.seconds: list[float] = []
        self._filler = b"x" * payload_bytes
        self._ready = asyncio.Event()
        self._client = Client(
            port,
            "echo",
            will=lambda: ("echo/will", b"gone"),
            topics=["echo/probe"],
            ready=self._ready.set,
            received=self._received,
        )
        self._task = asyncio.create_task(self._client.run())

    def _received(self, _topic: str, payload: bytes, _retained: bool) -> None:  # noqa: FBT001
        self.seconds.append(time.monotonic() - float(payload[:20]))

    async def run(self, rate: float, seconds: float) -> None:
        """Send `rate` a second."""
        await self._ready.wait()
        await paced(rate, seconds, self._send)

    def _send(self) -> None:
        stamp = f"{time.monotonic():20.9f}"[:20].encode()
        self._client.publish("echo/probe", stamp + self._filler)

    async def close(self) -> list[float]:
        """Disconnect and return what came back."""
        await asyncio.sleep(1.0)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.seconds


async def paced(rate: float, seconds: float, act: Any) -> int:
    """Call `act` `rate` times a second by the clock; return how often."""
    started, done = time.monotonic(), 0
    while (elapsed := time.monotonic() - started) < seconds:
        due = int(elapsed * rate) + 1
        while done < due:
            act()
            done += 1
        await asyncio.sleep(min(1.0 / rate, 0.02))
    return done


def of_latencies(values: Sequence[float]) -> dict[str, Any]:
    """Return p50 and p99 with their intervals."""
    found: dict[str, Any] = {"n": len(values)}
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        low, high = quantile_interval(values, q)
        found[f"{name}_seconds"] = {"median": quantile(values, q), "low": low, "high": high}
    return found


def in_turn(fleet: SimulatedFleet) -> Callable[[], object]:
    """Return what has one board after the other give a result."""
    boards = itertools.cycle(fleet.boards)

    def act() -> object:
        return next(boards).put()

    return act


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


async def results(fleet: SimulatedFleet, rate: float, seconds: float) -> dict[str, Any]:
    """Send results from boards in turn; time from the outbox to the ack."""
    size = len(real_record().__repr__())
    alone = Echo(fleet.broker.port, size)
    await alone.run(rate, min(20.0, seconds))
    echo_alone = await alone.close()
    latencies: list[float] = []
    fleet.told.acknowledged = latencies.append
    cpu = fleet.controller.cpu_times()
    probe = Echo(fleet.broker.port, size)
    probing = asyncio.create_task(probe.run(PROBES_PER_SECOND, seconds))
    started = time.monotonic()
    sent = await paced(rate, seconds, in_turn(fleet))
    await fleet.until(lambda: fleet.waiting == 0, seconds=60, what="empty outboxes")
    elapsed = time.monotonic() - started
    await probing
    now = fleet.controller.cpu_times()
    found = of_latencies(latencies)
    found |= {"sent": sent, "per_second": len(latencies) / elapsed}
    found["controller_cpu_share"] = (now.user + now.system - cpu.user - cpu.system) / elapsed
    found["echo_alone"] = of_latencies(echo_alone)
    found["echo_beside"] = of_latencies(await probe.close())
    return found


async def broker_restart(fleet: SimulatedFleet, rate: float, away_seconds: float) -> dict[str, Any]:
    """Kill the broker, which forgets everything, and start it again while boards go on giving results."""
    connects: list[float] = []
    fleet.told.connected = connects.append
    going = asyncio.create_task(paced(rate, away_seconds + 5, in_turn(fleet)))
    await asyncio.sleep(2.0)
    fleet.broker.kill()
    await asyncio.sleep(away_seconds)
    waited = fleet.waiting
    fleet.broker.start()
    started = time.monotonic()
    await fleet.until(lambda: fleet.connected == len(fleet.boards), seconds=180, what="connections")
    connected_seconds = time.monotonic() - started
    await fleet.until(lambda: fleet.waiting == 0, seconds=180, what="empty outboxes")
    await fleet.all_online(seconds=180)
    done_seconds = time.monotonic() - started
    await going
    by_second = Counter(int(at - started) for at in connects if at >= started)
    return {
        "away_seconds": away_seconds,
        "waiting_at_restart": waited,
        "all_connected_seconds": connected_seconds,
        "all_online_and_empty_seconds": done_seconds,
        "connects_per_second_max": max(by_second.values()),
        "connects_per_second": [by_second[second] for second in range(max(by_second) + 1)],
    }


async def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything once."""
    found: dict[str, Any] = {"boards": arguments.boards, "load_before": os.getloadavg()[0]}
    with SimulatedFleet(folder, arguments.boards) as fleet:
        started = time.monotonic()
        await fleet.connect(seconds=180)
        found["all_online_seconds"] = time.monotonic() - started
        found["submit"] = await submit_rounds(fleet, arguments.rounds)
        found["results"] = await results(fleet, arguments.rate, arguments.seconds)
        found["broker_restart"] = [
            await broker_restart(fleet, arguments.rate / 5, away) for away in arguments.away
        ]
        stored = await asyncio.to_thread(fleet.count, "SELECT count(*) FROM results WHERE counted")
        sent = sum(board._seq for board in fleet.boards)  # noqa: SLF001 the simulation's own count
        found["lost"], found["stored"] = sent - int(stored), int(stored)
        found["controller_peak_bytes"] = peak_bytes(fleet.controller.pid)
        times = fleet.controller.cpu_times()
        found["controller_cpu_seconds"] = times.user + times.system
        found["simulation_cpu_seconds"] = sum(psutil.Process().cpu_times()[:2])
        found["database_bytes"] = sum(p.stat().st_size for p in (folder / "data").glob("controller.sqlite3*"))
        await fleet.leave()
    found["load_after"], found["cpus"] = os.getloadavg()[0], os.cpu_count()
    return found


def show(found: dict[str, Any], indent: str = "") -> None:
    """Print figures with their intervals."""
    for name, value in found.items():
        if isinstance(value, dict) and value.keys() == {"median", "low", "high"}:
            print(f"{indent}{name:34} {value['median']:.4g}  [{value['low']:.4g}, {value['high']:.4g}]")
        elif isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                print(f"{indent}{name}")
                show(one, indent + "  ")
        else:
            print(
                f"{indent}{name:34} {value:.4g}" if isinstance(value, float) else f"{indent}{name:34} {value}"
            )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--away", type=float, nargs="*", default=[0.2, 5.0, 30.0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(arguments, Path(folder)))
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)
    return 1 if found["lost"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
