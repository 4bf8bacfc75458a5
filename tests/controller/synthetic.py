"""Synthetic results for tests of verdict and report: made by a random number generator, measured nowhere.

The series look like those of a small board: one clock that all trials of a block share and that drifts, noise
and a heavy tail of each inference's own, and a first inference after each switch that is slower.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from edgedyno.core.manifest import Failure
from edgedyno.core.result import (
    Accuracy,
    Burst,
    Conditions,
    Drop,
    EnergySummary,
    PowerSummary,
    Result,
    Samples,
    Validity,
)
from edgedyno.core.statistics import steady_groups, summarize

IMAGES = 17
CONDITIONS = Conditions(
    governor={"cpu0": "performance", "cpu1": "performance"},
    frequency_hz={"cpu0": 2.4e9},
    temperature_celsius={"soc": 51.5},
    throttled=False,
    load=0.4,
    kernel="6.1.0-synthetic",
    agent_version="0.1.0",
)


def sha256(text: str) -> str:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Trial:
    """What one synthetic trial shall look like; latencies in seconds, accuracies as ratios."""

    precision: str
    threads: int
    latency_seconds: float | None
    accuracy: float | None = None
    drop: tuple[float, float | None, float | None] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """Fields of the result to set as they are."""
    void: str | None = None


class Lab:
    """Makes results and keeps their artifacts."""

    def __init__(
        self, *, seed: int = 1, board: str = "synthetic-pi", blocks: int = 60, per_burst: int = 6
    ) -> None:
        self.artifacts: dict[str, bytes] = {}
        self._random = np.random.default_rng(seed)
        self._board = board
        self._blocks = blocks
        self._per_burst = per_burst

    def read(self, sha: str) -> bytes:
        """Return an artifact's bytes."""
        return self.artifacts[sha]

    def results(self, *trials: Trial, model: str = "synthetic_net") -> list[Result]:
        """Run all trials side by side, block by block."""
        clock = self._clock()
        order = [list(self._random.permutation(len(trials))) for _ in range(self._blocks)]
        return [self._result(trial, model, clock, order, index) for index, trial in enumerate(trials)]

    def _clock(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return how much slower the board is in each block: AR(1) with 0.8, 3 % wide."""
        drift = np.zeros(self._blocks)
        for block in range(1, self._blocks):
            drift[block] = 0.8 * drift[block - 1] + self._random.normal(0, 0.018)
        return np.exp(drift)

    def _result(self, trial: Trial, model: str, clock: Any, order: list[list[int]], index: int) -> Result:
        fields: dict[str, Any] = {
            "runtime": "onnxruntime",
            "runtime_version": "1.22.0",
            "format": "onnx",
            "cores": "all",
            "status": "ok",
            "size_bytes": {"fp32": 1_000_000, "fp16": 520_000}.get(trial.precision, 310_000),
            "peak_rss_bytes": 61_000_000,
            "power_watts_reason": "this board has no power sensor",
            "energy_joules_per_inference_reason": "this board has no power sensor",
            "load_seconds": 0.05,
            "first_inference_seconds": 0.03,
        }
        fields |= trial.more
        file = f"{model}-{trial.precision}-{fields['format']}-{fields.get('recipe', '')}"
        fields.pop("recipe", None)
        name = f"{file}-{fields['runtime']}-{fields['runtime_version']}-{trial.threads}-{fields['cores']}"
        fields = self._latency(trial, name, clock, order, index) | fields
        fields |= _accuracy(trial)
        return Result(
            job="synthetic-0a1b2c",
            execution=f"synthetic-0a1b2c.{self._board}",
            attempt=1,
            board=self._board,
            model=model,
            trial=sha256(name)[:16],
            variant_sha256=sha256(file),
            precision=trial.precision,
            threads=trial.threads,
            conditions=CONDITIONS,
            validity=Validity(trial.void is None, [trial.void] if trial.void else [], ["memory clock"]),
            started_at="2025-03-01T12:00:00Z",
            monotonic_seconds=100.0 + index,
            **fields,
        )

    def _latency(
        self, trial: Trial, name: str, clock: Any, order: list[list[int]], index: int
    ) -> dict[str, Any]:
        if trial.latency_seconds is None:
            return {"peak_rss_bytes": None}
        bursts = []
        for block, slow in enumerate(clock):
            noise = np.exp(self._random.normal(0, 0.012, self._per_burst))
            tail = 1 + (self._random.random(self._per_burst) < 0.03) * self._random.exponential(0.25)
            seconds = trial.latency_seconds * slow * noise * tail
            seconds[0] *= 1.08
            started = 100.0 + 0.3 * (len(order[block]) * block + order[block].index(index))
            bursts.append(Burst(block, started, [float(value) for value in seconds]))
        warmup = [trial.latency_seconds * factor for factor in (2.1, 1.2, 1.04, 1.01)]
        samples = Samples(sha256(name)[:16], warmup, bursts)
        data = msgspec.json.encode(samples)
        digest = hashlib.sha256(data).hexdigest()
        self.artifacts[digest] = data
        summary = summarize(steady_groups(samples))
        return {
            "latency_seconds": summary,
            "throughput_per_second": 1 / summary.mean if summary else None,
            "samples_sha256": digest,
            "settled": True,
        }


def _accuracy(trial: Trial) -> dict[str, Any]:
    if trial.accuracy is None:
        return {"accuracy_reason": "the data set has no annotations"}
    value = trial.accuracy
    return {
        "accuracy": Accuracy("mAP50-95", value, max(0.0, value - 0.09), value + 0.09, IMAGES),
        "accuracy_drop": Drop(*trial.drop) if trial.drop else None,
    }


def failed(precision: str, threads: int, text: str = "the worker was killed by signal 11") -> Trial:
    """Return a trial that failed."""
    failure = Failure("worker.crashed", text)
    return Trial(precision, threads, None, more={"status": "failed", "failure": failure})


def skipped(precision: str, threads: int) -> Trial:
    """Return a trial that was skipped."""
    failure = Failure("planner.no-runtime", "no runtime of this board can run tflite")
    return Trial(precision, threads, None, more={"status": "skipped", "failure": failure})


def metered(joules: float, watts: float, scope: str = "package") -> dict[str, Any]:
    """Return fields of a result whose energy was metered."""
    return {
        "energy_joules_per_inference": EnergySummary(
            joules, joules * 0.97, joules * 1.03, joules * 0.6, "rapl", scope
        ),
        "power_watts": PowerSummary(watts, 2.1),
        "energy_joules_per_inference_reason": None,
        "power_watts_reason": None,
    }


SWEEP = (
    Trial("fp32", 1, 0.0240, 0.242, (0.0, 0.0, 0.0)),
    Trial("fp32", 2, 0.0135, 0.242, (0.0, 0.0, 0.0)),
    Trial("fp16", 1, 0.0243, 0.242, (0.0001, -0.002, 0.002)),
    Trial("fp16", 2, 0.0137, 0.242, (0.0001, -0.002, 0.002)),
    Trial("int8", 1, 0.0205, 0.230, (0.012, -0.03, 0.05)),
    Trial("int8", 2, 0.0168, 0.230, (0.012, -0.03, 0.05)),
)
"""INT8 faster at one thread and slower at two; its drop is not decided by 17 images."""
