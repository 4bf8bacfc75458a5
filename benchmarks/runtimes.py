"""Runtime x precision x threads for two models: median latency, what really ran, size and accuracy, on this machine.

Each model is one job for each number of threads, run as `edgedyno run` does, over every runtime that the named
interpreters have; what cannot be built or run stands in the table with its reason. One job over all of it would be
a search, which leaves cells out. Give it minutes: a job's budget is shared by all its trials.
Usage: python benchmarks/runtimes.py [--seconds 120] [--models fastestdet,yolox_nano] [--threads 1,2]
       [--python NAME=PATH ...] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.cli.places import read_results
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from edgedyno.core.result import Result

COLUMNS = ("runtime", "asked", "ran", "format", "threads", "median ms", "±", "size", "mAP", "drop")


def measure(model: str, threads: int, arguments: argparse.Namespace, folder: Path) -> list[Result]:
    """Run one job; return its results. Raises SystemExit with its words where it gives none."""
    job = {
        "name": f"runtimes-{model.replace('_', '-')}",
        "model": model,
        "dataset": arguments.dataset,
        "sweep": {
            "precisions": arguments.precisions.split(","),
            "threads": [threads],
            **({"runtimes": arguments.runtimes.split(",")} if arguments.runtimes else {}),
        },
        "measure": {"precision": "3%", "max_seconds": arguments.seconds},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))  # JSON is YAML
    named = [word for python in arguments.python for word in ("--python", python)]
    command = [
        sys.executable,
        "-m",
        "edgedyno.cli.main",
        "run",
        str(path),
        "--out",
        str(folder / "out"),
        *named,
    ]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    # 1 is a verdict of its own (a requirement is not met), and there is none here that could fail.
    if not (folder / "out/results.jsonl").exists():
        raise SystemExit(f"{model}: edgedyno run ended with status {done.returncode} and no results")
    return read_results(folder / "out")


def row(result: Result) -> list[str]:
    """Return a table row of one trial."""
    head = [
        f"{result.runtime} {result.runtime_version or ''}".strip(),
        result.precision,
        result.effective_precision or "?",
        result.format,
        str(result.threads),
    ]
    if result.status != "ok" or result.latency_seconds is None:
        reason = (
            f"{result.failure.code}: {result.failure.text}"
            if result.failure
            else result.latency_seconds_reason
        )
        return [*head, str(reason).splitlines()[0][:80]]
    median, half = result.latency_seconds, "?"
    if median.p50_low is not None and median.p50_high is not None:
        half = f"{(median.p50_high - median.p50_low) / 2 / median.p50:.1%}"
    flag = "" if result.validity.valid else " void"
    flag += " eliminated" if result.eliminated else ""
    return [
        *head,
        f"{median.p50 * 1e3:.2f}{flag}",
        half,
        "?" if result.size_bytes is None else format_bytes(result.size_bytes),
        "?" if result.accuracy is None else f"{result.accuracy.value:.3f}",
        "" if result.accuracy_drop is None else f"{result.accuracy_drop.value:+.3f}",
    ]


def order(result: Result) -> tuple[object, ...]:
    """Sort by runtime, then from FP32 to INT8, then by threads."""
    return (
        result.runtime,
        result.runtime_version or "",
        ["fp32", "fp16", "int8"].index(result.precision),
        result.threads,
    )


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="for measuring each job")
    parser.add_argument("--models", default="fastestdet,yolox_nano")
    parser.add_argument("--dataset", default="coco_ccby")
    parser.add_argument("--runtimes", default="")
    parser.add_argument("--precisions", default="fp32,fp16,int8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", type=Path, help="keep jobs, results and reports here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for model in arguments.models.split(","):
            results = [
                result
                for threads in arguments.threads.split(",")
                for result in measure(
                    model, int(threads), arguments, (arguments.out or Path(scratch)) / f"{model}-{threads}"
                )
            ]
            print(f"\n### {model}, {arguments.seconds:g} s for each number of threads\n")
            print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
            for result in sorted(results, key=order):
                cells = row(result)
                print(f"| {' | '.join(cells + [''] * (len(COLUMNS) - len(cells)))} |", flush=True)


if __name__ == "__main__":
    main()
