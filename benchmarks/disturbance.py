"""Load on this machine while the runner measures: each result has to be void, or its interval to hold the truth.

Quiet runs of one model, with one thread and with all, give the truth; in turn with them, the same runs under
`stress-ng`. A result that is valid and whose 95 % interval misses the truth is wrong: there must be none. Each
run is a runner process of its own. Usage: python benchmarks/disturbance.py [--runs N] [--seconds S].
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import ArtifactRef, Manifest, Variant
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.run import Finished, RunRequest, decode_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.result import Result

DEFAULT = (
    Path(__file__).parent.parent
    / "profiles/edgedyno/profiles/samples/models/fastestdet/FastestDet_352_fp32.onnx"
)
MODEL = ModelProfile(
    name="fastestdet",
    task="detect",
    source=DEFAULT.name,
    input=InputSpec(size=(352, 352), colour="BGR", resize="stretch"),
    output=OutputSpec(decoder="fastestdet"),
)
ALL = len(os.sched_getaffinity(0))
QUIET_TRIES = 3
SETTLE_SECONDS = 1.0  # until the stressors run; and until the machine is quiet again


class Load(NamedTuple):
    """A disturbance: arguments of stress-ng, and for which share of a run it lasts."""

    name: str
    arguments: list[str]
    share: float = 1.0


LOADS = (
    Load("one core", ["--cpu", "1"]),
    Load(f"all {ALL} cores", ["--cpu", str(ALL)]),
    Load("one core, 30 % of the run", ["--cpu", "1"], 0.3),
    Load("one core at 20 %", ["--cpu", "1", "--cpu-load", "20"]),
    Load("one core of memory traffic", ["--stream", "1"]),
)


class Truth(NamedTuple):
    """A trial's median with nothing else running: of all quiet runs, and the span of their intervals."""

    median: float
    low: float
    high: float


def make_request(folder: Path, seconds: float) -> RunRequest:
    """Return a request for two trials of one file: one thread, and all."""
    data = DEFAULT.read_bytes()
    file = ArtifactRef(hashlib.sha256(data).hexdigest(), len(data), DEFAULT.name)
    manifest = Manifest(
        job="disturbance",
        execution="disturbance.here",
        model=MODEL,
        variants=[Variant("fp32", "onnx", file)],
        sweep=Sweep(runtimes=["onnxruntime"], precisions=["fp32"], threads=[1, "all"]),
        measure=Measure(precision=0.001, max_seconds=seconds),  # never reached: the time is used up
    )
    return RunRequest(manifest, "here", 1, read_capabilities(), {file.sha256: str(DEFAULT)}, str(folder))


def measure(seconds: float, load: Load | None) -> list[Result]:
    """Run the runner once, under a load, and return its results."""
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_bytes(msgspec.json.encode(make_request(Path(folder) / "work", seconds)))
        with stressed(load, seconds):
            done = subprocess.run(
                [sys.executable, "-m", "edgedyno.agent.measure", str(request)],
                capture_output=True,
                timeout=seconds * 10 + 120,
                check=True,
            )
    events = [decode_event(line) for line in done.stdout.splitlines()]
    return [event.record for event in events if isinstance(event, Finished)]


@contextlib.contextmanager
def stressed(load: Load | None, seconds: float) -> Iterator[None]:
    """Load the machine meanwhile; what lasts for a part begins at a random moment of the run."""
    if load is None:
        yield
        return
    if load.share >= 1:
        with _stress(load, 3600):
            time.sleep(SETTLE_SECONDS)
            yield
        time.sleep(SETTLE_SECONDS)
        return
    end = threading.Event()
    thread = threading.Thread(target=_stress_later, args=(load, seconds, end))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    time.sleep(SETTLE_SECONDS)


def _stress_later(load: Load, seconds: float, end: threading.Event) -> None:
    # Starting up and warming up take some two seconds before the race begins.
    if not end.wait(2 + random.uniform(0, 1 - load.share) * seconds):
        with _stress(load, 3600):
            end.wait(load.share * seconds)


@contextlib.contextmanager
def _stress(load: Load, seconds: int) -> Iterator[None]:
    command = ["stress-ng", *load.arguments, "--timeout", f"{seconds}s", "--quiet"]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def measure_quietly(seconds: float) -> list[Result]:
    """Measure with no load of ours; a run with void results is repeated, up to three runs in all."""
    results: list[Result] = []
    for _ in range(QUIET_TRIES):
        found = measure(seconds, None)
        for result in found:
            print(f"quiet: {describe(result)}", flush=True)
        results += [each for each in found if each.validity.valid and each.latency_seconds is not None]
        if results and all(result.validity.valid for result in found):
            break
    return results


def find_truth(results: list[Result]) -> dict[int, Truth]:
    """Return the truth by number of threads from all valid quiet results."""
    threads = sorted({result.threads for result in results})
    return {count: _truth([each for each in results if each.threads == count]) for count in threads}


def _truth(results: list[Result]) -> Truth:
    latencies = [result.latency_seconds for result in results if result.latency_seconds]
    return Truth(
        statistics.median(each.p50 for each in latencies),
        min(each.p50 if each.p50_low is None else each.p50_low for each in latencies),
        max(each.p50 if each.p50_high is None else each.p50_high for each in latencies),
    )


def describe(result: Result) -> str:
    """Write a result in one line."""
    latency = result.latency_seconds
    if latency is None:
        return f"{result.threads} threads: {result.failure.text if result.failure else 'no latency'}"
    bounds = "no interval"
    if latency.p50_low is not None and latency.p50_high is not None:
        bounds = f"{latency.p50_low * 1e3:.2f} to {latency.p50_high * 1e3:.2f}"
    word = "valid" if result.validity.valid else f"void: {'; '.join(result.validity.reasons)}"
    rounds = f"{result.conditions.void_rounds} of {result.conditions.rounds} rounds void"
    return f"{result.threads} threads: {latency.p50 * 1e3:.2f} ms ({bounds}), {rounds}, {word}"


def judge(result: Result, truth: Truth | None) -> str:
    """Return void, holds or wrong; unknown where nothing can be said."""
    if not result.validity.valid:
        return "void"
    latency = result.latency_seconds
    if latency is None or truth is None:
        return "unknown"
    if latency.p50_low is None or latency.p50_high is None:
        return "no interval"
    return "holds" if latency.p50_low <= truth.high and truth.low <= latency.p50_high else "wrong"


def main() -> int:
    """Measure quietly and disturbed in turn, then print how the results stood; 1 when a valid one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=5, help="of each load, each with quiet ones before and after"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="of each race")
    options = parser.parse_args()
    if shutil.which("stress-ng") is None:
        print("stress-ng is not installed: apt install stress-ng", file=sys.stderr)
        return 2
    quiet = measure_quietly(options.seconds)
    disturbed: dict[str, list[Result]] = {load.name: [] for load in LOADS}
    for _ in range(options.runs):
        for load in LOADS:
            results = measure(options.seconds, load)
            disturbed[load.name] += results
            for result in results:
                print(f"{load.name}: {describe(result)}", flush=True)
        quiet += measure_quietly(options.seconds)
    return report(disturbed, find_truth(quiet))


def report(disturbed: dict[str, list[Result]], truth: dict[int, Truth]) -> int:
    """Hold every disturbed result against the truth; return the exit code."""
    for threads, each in truth.items():
        spread = f"{each.low * 1e3:.2f} to {each.high * 1e3:.2f}"
        print(f"truth, {threads} threads: {each.median * 1e3:.2f} ms ({spread})")
    total: Counter[str] = Counter()
    for name, results in disturbed.items():
        counts = Counter(judge(result, truth.get(result.threads)) for result in results)
        total += counts
        print(f"{name}: {_shares(counts)}")
        for reason, count in _reasons(results).most_common(4):
            print(f"    {count} times: {reason}")
    print(f"all: {_shares(total)}; valid and wrong must be 0")
    if not truth:
        print("no truth: every quiet run was void; end what else runs on this machine", file=sys.stderr)
    return 1 if total["wrong"] or not truth else 0


def _reasons(results: list[Result]) -> Counter[str]:
    """Count the kinds of reasons: they differ only in their numbers."""
    return Counter(re.sub(r"[\d.]+", "#", reason) for each in results for reason in each.validity.reasons)


def _shares(counts: Counter[str]) -> str:
    every = sum(counts.values())
    names = ("void", "holds", "wrong", *sorted(counts.keys() - {"void", "holds", "wrong"}))
    words = {"holds": "valid and holds the truth", "wrong": "valid and wrong"}
    return ", ".join(
        f"{words.get(name, name)} {counts[name]} of {every} ({counts[name] / every:.0%})" for name in names
    )


if __name__ == "__main__":
    sys.exit(main())
