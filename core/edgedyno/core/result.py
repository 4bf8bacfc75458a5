"""The result record: what one trial gave. SI base units; what was not measured is None and says why."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from edgedyno.core.manifest import Failure
from edgedyno.core.profile import Sha256

Status = Literal["ok", "failed", "skipped"]
NOT_TRIED = "search.not_tried"
"""Failure code of a skipped trial that a search left out."""
SIMULATED = "simulated"
"""How the reason begins why a trial has no latency whose runtime only imitates the device."""


class LatencySummary(Struct, frozen=True):
    """Seconds per invoke call in the steady state.

    A percentile is None where too few samples support it (64 / 130 / 662 for p90 / p95 / p99: LoadGen's early
    stopping at confidence 0.99). `p50_low` and `p50_high` bound the median's 95 % interval.
    """

    n: int
    min: float
    p50: float
    mean: float
    p50_low: float | None = None
    p50_high: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class StageSummary(Struct, frozen=True):
    """Seconds per image of a stage beside the inference, such as preparing the input."""

    n: int
    p50: float
    p95: float | None = None
    """None where too few samples support it (130)."""


class Bounded(Struct, frozen=True):
    """A value with its 95 % interval; None where there is too little to tell."""

    value: float
    low: float | None = None
    high: float | None = None


class Deadlines(Struct, frozen=True):
    """What came of a fixed-rate stream: inputs arrive by the clock, and each has one period."""

    period_seconds: float
    arrivals: int
    missed: int
    """Answered later than one period after the arrival, or not at all."""
    dropped: int = 0
    """Of those missed, never started, because newer inputs had come."""


class Soak(Struct, frozen=True):
    """What sustained load did: the first minute (or the first tenth of a shorter soak) against the last."""

    seconds: float
    first_p50: float
    last_p50: float
    slowdown: Bounded
    """Last over first: 1.1 is 10 % slower."""
    throttled_after_seconds: float | None = None
    """When a throttle counter moved, a flag was set or the clock fell; None: not seen."""
    steady_after_seconds: float | None = None
    """From when on the latency did not change any more; None: it was still changing at the end."""


class EnergySummary(Struct, frozen=True):
    """Joules per inference with their 95 % interval, and what was metered."""

    value: float
    low: float
    high: float
    idle_subtracted: float | None
    source: str
    scope: str
    idle_subtracted_low: float | None = None
    """With the uncertainty of the idle baseline, which the total does not depend on."""
    idle_subtracted_high: float | None = None
    updates: int | None = None
    """How many times the sensor measured anew in the window."""
    lag_seconds: float | None = None
    """How late the meter was, as fitted on this window's two edges; None for one that is prompt."""


class PowerSummary(Struct, frozen=True):
    """Watts while the trial ran and while the board was idle."""

    mean: float
    idle: float | None


class Accuracy(Struct, frozen=True):
    """A score on `images` images with its 95 % interval, as a ratio from 0 to 1."""

    metric: str
    value: float
    low: float | None
    high: float | None
    images: int
    details: dict[str, float] = {}
    classes: dict[str, float] = {}
    """The metric of each class that is labelled, by name."""


class Drop(Struct, frozen=True):
    """How much less than FP32 on the same images, with its 95 % interval (paired bootstrap over images)."""

    value: float
    low: float | None
    high: float | None
    classes: dict[str, Bounded] = {}
    """Of each class that is labelled, by name."""


class OutputFidelity(Struct, frozen=True):
    """One raw output of a variant against FP32's on the same images; no labels are needed."""

    name: str
    sqnr_db: float | None
    """Power of FP32's output over the power of the difference, in decibels; None where nothing differs."""
    cosine: float | None
    """Of all values as one vector; None where an output is all zero."""
    max_error: float
    """Largest difference of one value, in the output's own unit."""


class Agreement(Struct, frozen=True):
    """How far a variant sees what FP32 sees in the same images: fidelity, never accuracy."""

    matched: Bounded
    """Share of FP32's detections that it has too, of the same class and place; of images with the same best class
    where the task is to classify."""
    images: int
    extra: float | None = None
    """Share of its own detections that FP32 does not have."""
    mean_iou: float | None = None
    """Of the matched."""
    score_shift: float | None = None
    """Mean of its score minus FP32's, of the matched."""
    score_threshold: float | None = None
    """Detections below it are not looked at."""
    iou_threshold: float | None = None


class Fidelity(Struct, frozen=True):
    """A variant against FP32 without labels."""

    reference: str
    """What it was compared with, such as `FP32 on onnxruntime 1.27.0`."""
    outputs: list[OutputFidelity] = []
    outputs_images: int = 0
    outputs_reason: str | None = None
    """Why raw outputs were not compared."""
    agreement: Agreement | None = None
    agreement_reason: str | None = None


class SelfTest(Struct, frozen=True):
    """What a variant made of images whose content is known, and what a failure looks like."""

    passed: bool
    images: int
    text: str
    looks_like: str | None = None
    """A code such as `input.colour-order`; None when it passed or nothing explains it."""
    changes: list[str] = []
    """Lines of the profile that would mend it: `input.colour: RGB → BGR`."""
    suspect: str | None = None
    """Likewise a code, of one that passed though another reading of the profile sees more: a warning, no more."""


class ImagesShown(Struct, frozen=True, omit_defaults=True):
    """How many images a variant was shown in the accuracy pass, and those it has no prediction for.

    The failed ones stay in the denominator: each counts as an image in which nothing was seen.
    """

    shown: int
    failed: int = 0
    codes: dict[str, int] = {}
    """How many failed with each code, such as `image.truncated`."""
    first: list[str] = []
    """The first that failed, each with its code and a sentence."""


class ThreadsCheck(Struct, frozen=True):
    """Whether another number of threads predicts the same, on a few images."""

    threads: int
    other_threads: int
    images: int
    identical: bool
    max_score_difference: float
    text: str
    rounding_only: bool = False
    """Not identical, but no farther apart than sums in another order come."""


class Conditions(Struct, frozen=True, omit_defaults=True):
    """Under what circumstances the trial ran. An unreadable quantity is absent or None.

    Over several rounds: the lowest clock, everything else as bad as its worst round, and counts added up.
    Ratios are of the wall time of a round.
    """

    governor: dict[str, str] = {}
    frequency_hz: dict[str, float] = {}
    """The lowest clock that was seen, by cpufreq policy."""
    frequency_before_hz: dict[str, float] = {}
    """Before the first round."""
    frequency_after_hz: dict[str, float] = {}
    """After the last round."""
    frequency_max_hz: dict[str, float] = {}
    """The limit that was set while measuring (scaling_max_freq), not what the silicon could do."""
    temperature_celsius: dict[str, float] = {}
    """The hottest that was seen at a round's beginning or end."""
    throttled: bool | None = None
    throttle_counts: dict[str, int] = {}
    """By how much throttle counters moved; those that stood still are left out."""
    load: float | None = None
    pressure: dict[str, float] = {}
    """Share of the time in which some task waited: `cpu_some`, `memory_some`, `io_some`."""
    foreign_cpu_ratio: float | None = None
    """CPU time of others on the used cores (and their siblings in hardware), of those cores' time."""
    other_cores_ratio: float | None = None
    """CPU time of others on all other cores, of those cores' time."""
    run_delay_ratio: float | None = None
    """How long the worker's threads could run and had to wait for a CPU: thread-seconds per second."""
    voluntary_switches: int | None = None
    """Context switches of the worker's threads, which waited for something."""
    involuntary_switches: int | None = None
    """Context switches of the worker's threads, which were made to give way."""
    major_faults: int | None = None
    """Pages that the worker had to wait for storage for."""
    steal_ratio: float | None = None
    """What the hypervisor took of the used cores."""
    swap_pages: int | None = None
    quota_throttles: int | None = None
    """How often the control group's CPU quota stopped the worker."""
    power_mode: str | None = None
    rounds: int | None = None
    """Windows of about a second that the trial took part in."""
    void_rounds: int | None = None
    """Those of them that were disturbed: measured again while time lasted."""
    gating_seconds: float | None = None
    """How long the board was left to cool down before this trial's measuring, in all."""
    gating_reason: str | None = None
    """Why it was not cool even so, or could not be seen; None: it was."""
    kernel: str = ""
    agent_version: str = ""
    extra: dict[str, Any] = {}


class Validity(Struct, frozen=True, omit_defaults=True):
    """A result's verdict on itself."""

    valid: bool
    reasons: list[str] = []
    """Why it is void; empty when valid."""
    not_checkable: list[str] = []
    """Checks for which this board has no source."""


class Result(Struct, frozen=True, kw_only=True):
    """One trial's outcome; the same names in the store, the API, JSONL, CSV and Parquet."""

    job: str
    execution: str
    attempt: int
    board: str
    model: str
    trial: str
    """Stable id of the cell within its execution."""
    variant_sha256: Sha256 | None
    format: str
    variant: str = ""
    """Name that tells variants of one precision and format apart."""
    runtime: str
    runtime_version: str | None
    precision: str
    effective_precision: str | None = None
    """What really ran, by the runtime's own account: fp32, fp16, int8 or mixed."""
    effective_precision_detail: str | None = None
    effective_precision_reason: str | None = None
    threads: int
    cores: str
    cpus: list[int] = []
    batch: int = 1
    scenario: str = "single-stream"
    status: Status
    failure: Failure | None = None
    load_seconds: float | None = None
    first_inference_seconds: float | None = None
    latency_seconds: LatencySummary | None = None
    latency_seconds_reason: str | None = None
    settled: bool | None = None
    """Whether the median's interval reached the job's precision before time was up."""
    eliminated: bool = False
    after_switch_seconds: Bounded | None = None
    """What the first inference after a switch between trials costs more than those that follow it."""
    preprocess_seconds: StageSummary | None = None
    """Preparing one image (decode, resize, normalise) on this board; never part of `latency_seconds`."""
    postprocess_seconds: StageSummary | None = None
    """Decoding one output on this board; never part of `latency_seconds`."""
    stages_reason: str | None = None
    """Why the stages beside the inference were not timed."""
    throughput_per_second: float | None = None
    throughput_per_second_interval: Bounded | None = None
    deadlines: Deadlines | None = None
    """Only for the scenario fixed-rate."""
    soak: Soak | None = None
    """Only for the scenario soak."""
    energy_joules_per_inference: EnergySummary | None = None
    energy_joules_per_inference_reason: str | None = None
    power_watts: PowerSummary | None = None
    power_watts_reason: str | None = None
    peak_rss_bytes: int | None = None
    size_bytes: int | None = None
    """Of the variant's file."""
    accuracy: Accuracy | None = None
    accuracy_reason: str | None = None
    accuracy_drop: Drop | None = None
    accuracy_drop_reason: str | None = None
    fidelity: Fidelity | None = None
    fidelity_reason: str | None = None
    selftest: SelfTest | None = None
    selftest_reason: str | None = None
    threads_check: ThreadsCheck | None = None
    images: ImagesShown | None = None
    """What the accuracy pass showed; None where there was none."""
    conditions: Conditions
    validity: Validity
    samples_sha256: Sha256 | None = None
    predictions_sha256: Sha256 | None = None
    profile_sha256: Sha256 | None = None
    """Of the per-operator profile, where the job asked for one."""
    profile_reason: str | None = None
    """Why there is none though it was asked for."""
    started_at: str
    """UTC, ISO 8601; for people, never for arithmetic."""
    monotonic_seconds: float
    """The board's monotonic clock when the trial's first burst began."""


class Burst(Struct, frozen=True):
    """Consecutive inferences of one trial in one block, after the switch to it."""

    block: int
    started_monotonic_seconds: float
    latency_seconds: list[float]
    valid: bool = True
    after_switch: int = 1
    """How many of the first samples follow the switch to this trial: kept, but in no summary and no ratio."""
    load: int = 1
    """Which of the trial's worker processes ran it, counted from 1."""
    cpu_seconds: float | None = None
    """CPU time of all of the worker's threads during the burst."""
    run_delay_seconds: float | None = None
    """How long its threads waited for a CPU though they could run (schedstat)."""
    arrivals: int | None = None
    """Inputs that came by the clock, answered or dropped; None where none do. Latencies count from the arrival."""
    window_seconds: float | None = None
    """The time in which all streams of a trial ran; None where there is one stream."""
    window_inferences: float | None = None
    """Inferences of all streams in that time; one that lies in it by half counts as half."""


class OperatorTime(Struct, frozen=True, omit_defaults=True):
    """One operator of a variant as its runtime ran it."""

    name: str
    type: str
    """As the runtime calls it, such as `Conv` or `ConvolutionDepthWise`."""
    precision: str
    """fp32, tf32, fp16, bf16, int8, converting, other or unknown."""
    seconds: float
    """Per inference, mean over the profiled ones."""


class OperatorProfile(Struct, frozen=True):
    """Time by operator, in the order they ran; stored as an artifact. Profiling slows a runtime down."""

    trial: str
    runtime: str
    inferences: int
    operators: list[OperatorTime]
    source: str
    """Where the runtime tells this, such as `ONNX Runtime's profile`."""


class BoardSeries(Struct, frozen=True, omit_defaults=True):
    """Temperatures, clocks and throttling over the time of a trial: one entry in each list for each moment."""

    monotonic_seconds: list[float]
    """On the clock of the bursts' `started_monotonic_seconds`."""
    temperature_celsius: dict[str, list[float | None]] = {}
    """By zone; None where it did not answer, or was not asked because asking took too long."""
    frequency_hz: dict[str, list[float | None]] = {}
    """By cpufreq policy, and by device (`devfreq dmc`) for the memory."""
    throttled: list[list[str]] = []
    """Flags that were set and counters that had moved since the moment before; empty: not throttled."""
    throttle_visible: bool = True
    """Whether this board has anything that tells of throttling; if not, `throttled` says nothing."""
    cost_seconds: float = 0.0
    """What all this reading took together; never inside a burst."""
    thinned: int = 1
    """Of so many moments one is kept: with the hottest temperature, the lowest clock and all throttling of them."""


class Samples(Struct, frozen=True):
    """Raw samples of one trial, stored as an artifact: every summary can be computed again from them."""

    trial: str
    warmup_seconds: list[float]
    bursts: list[Burst]
    board: BoardSeries | None = None
    """How the board was while these samples were taken."""


class Detection(Struct, frozen=True, array_like=True):
    """One box in pixels of the original image: x, y of the upper left corner, width, height."""

    x: float
    y: float
    width: float
    height: float
    score: float
    class_index: int


class ImagePrediction(Struct, frozen=True, omit_defaults=True):
    """What a variant saw in one image."""

    image_id: int
    detections: list[Detection] = []
    classes: list[tuple[int, float]] = []
    """Best classes with their scores, best first."""
    error: str | None = None
    """Why there is no prediction, as `code: sentence`; the image still counts in the denominator."""


class Predictions(Struct, frozen=True):
    """Raw predictions of one variant on one runtime, stored as an artifact."""

    variant_sha256: Sha256
    runtime: str
    preparation_sha256: Sha256
    """Fingerprint of the images as the model's profile prepares them: equal for all variants, or the comparison
    is void."""
    images: list[ImagePrediction]
