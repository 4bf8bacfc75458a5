"""What was measured so far, in files of the runner's work folder, so that a killed runner goes on.

One file for each trial and one for each accuracy pass, each replaced atomically; artifacts are named by
content.
"""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from edgedyno.agent.measure.gating import Waited
from edgedyno.agent.measure.series import SeriesLog
from edgedyno.agent.measure.validity import Observation
from edgedyno.core.manifest import Failure
from edgedyno.core.result import (
    Burst,
    EnergySummary,
    Fidelity,
    ImagesShown,
    PowerSummary,
    SelfTest,
    ThreadsCheck,
)

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger(__name__)


class TrialLog(Struct):
    """Everything measured of one trial."""

    trial: str
    load_seconds: float | None = None
    first_inference_seconds: float | None = None
    warmup_seconds: list[float] = []
    bursts: list[Burst] = []
    quiet: Observation | None = None
    """Conditions of the rounds that count."""
    void: Observation | None = None
    """Conditions and reasons of the rounds that do not."""
    quiet_rounds: int = 0
    void_rounds: int = 0
    peak_rss_bytes: int | None = None
    waiting_cpu_ratio: float | None = None
    """CPU time over time while its runtime had nothing to do; such a runtime is halted between bursts."""
    strayed: str | None = None
    """What left the core set, or computed beside the threads that were asked for."""
    placing: dict[str, int | float | str] = {}
    """What is known of the worker's memory and threads, for the result's conditions."""
    energy: EnergySummary | None = None
    power: PowerSummary | None = None
    power_reason: str | None = None
    metered: dict[str, float] = {}
    """The metered window: `seconds` and `inferences`."""
    waits: list[Waited] = []
    """For the board to cool down, before each race."""
    throttled_after_seconds: float | None = None
    """When a soak was first seen to be throttled."""
    notes: dict[str, Any] = {}
    """What a scenario has to say about how it ran; part of the result's conditions."""
    started_at: str | None = None
    monotonic_seconds: float | None = None
    settled: bool = False
    eliminated: bool = False
    finished: bool = False
    """Settled, eliminated, failed or out of time: not to be measured again."""
    failure: Failure | None = None
    profile_sha256: str | None = None
    profile_reason: str | None = None
    """Why there is no profile; both are None until it was asked for."""


class OutputSigns(Struct):
    """Signs of life of one raw output over a pass: in how many images it held what."""

    name: str
    images: int = 0
    not_a_number: int = 0
    infinite: int = 0
    flat: int = 0
    """All of its values were the same."""
    repeated: int = 0
    """It was the same as for the image before: `images - 1` of them are a constant output."""
    low: float | None = None
    """The smallest value of all images; None where none was finite."""
    high: float | None = None


class PassLog(Struct):
    """What the accuracy pass of one variant on one runtime gave."""

    predictions_sha256: str | None = None
    reason: str | None = None
    """Why there are no predictions."""
    effective_precision: str | None = None
    effective_precision_detail: str | None = None
    effective_precision_reason: str | None = None
    failure: Failure | None = None
    """Why what ran was not what the trial is named after: it then counts as failed, whatever it measured."""
    preprocess_seconds: list[float] = []
    """Of each image that could be prepared."""
    postprocess_seconds: list[float] = []
    """Of each output that could be decoded."""
    images: ImagesShown | None = None
    outputs: list[OutputSigns] = []
    fidelity: Fidelity | None = None
    """Raw outputs against FP32's; the agreement of detections is for scoring to fill in."""
    fidelity_reason: str | None = None
    threads_check: ThreadsCheck | None = None
    selftest: SelfTest | None = None
    selftest_reason: str | None = None


class RunLog(Struct):
    """What belongs to the whole execution."""

    spent_seconds: float = 0.0
    """Of the time for measuring, before the last restart."""
    finalists: list[str] = []
    """Trials of a large sweep that are raced once more, side by side; empty before it has come to that."""
    start_celsius: dict[str, float] = {}
    """How warm the board was when the execution began."""


T = TypeVar("T")


class Journal:
    """The work folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.artifacts = folder / "artifacts"
        self._series: SeriesLog | None = None
        for path in (self.scratch, self.artifacts, folder / "trials", folder / "passes"):
            path.mkdir(parents=True, exist_ok=True)

    def trial(self, trial: str) -> TrialLog:
        """Return what is known of a trial: an empty log at first."""
        return self._read(f"trials/{trial}.json", TrialLog) or TrialLog(trial)

    def save_trial(self, log: TrialLog) -> None:
        """Keep a trial's log."""
        self._write(self.folder / f"trials/{log.trial}.json", msgspec.json.encode(log))

    def accuracy_pass(self, key: str) -> PassLog | None:
        """Return what an accuracy pass gave, None when it is still to be done."""
        return self._read(f"passes/{key}.json", PassLog)

    def save_pass(self, key: str, log: PassLog) -> None:
        """Keep what an accuracy pass gave."""
        self._write(self.folder / f"passes/{key}.json", msgspec.json.encode(log))

    def run(self) -> RunLog:
        """Return what belongs to the whole execution."""
        return self._read("run.json", RunLog) or RunLog()

    def save_run(self, log: RunLog) -> None:
        """Keep what belongs to the whole execution."""
        self._write(self.folder / "run.json", msgspec.json.encode(log))

    def series(self) -> SeriesLog:
        """Return how the board was over time."""
        if self._series is None:
            self._series = self._read("series.json", SeriesLog) or SeriesLog()
        return self._series

    def add_series(self, later: SeriesLog) -> None:
        """Keep what was seen of the board since the last time."""
        if later.moments:
            self._series = self.series().joined(later)
            self._write(self.folder / "series.json", msgspec.json.encode(self._series))

    def add_artifact(self, value: Struct) -> str:
        """Write a value as JSON under its own hash; return the hash."""
        data = msgspec.json.encode(value)
        sha256 = hashlib.sha256(data).hexdigest()
        self._write(self.artifacts / sha256, data)
        return sha256

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            _log.exception("%s cannot be read and is measured again", path)
            return None

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        """Replace a file so that a power cut leaves the old one or the new one."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
