"""The verdict as data: the answer for one board and model, what it rests on, and words for each part.

Numbers and words stand side by side, so that the CLI, the API, the report and the metrics all speak from one
model. Nothing here computes.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgedyno.core.job import Goal, Require
from edgedyno.core.result import (
    Accuracy,
    Bounded,
    Deadlines,
    Drop,
    EnergySummary,
    Fidelity,
    LatencySummary,
    PowerSummary,
    SelfTest,
    Soak,
    StageSummary,
)

Answer = Literal["recommended", "cannot tell", "none meets"]
ChoiceStatus = Literal[
    "recommended", "acceptable", "undecided", "rejected", "void", "failed", "skipped", "not tried"
]
State = Literal["settled", "not settled", "eliminated", "void", "failed", "skipped", "not tried"]
Outcome = Literal["met", "violated", "undecided"]
Proof = Literal["accuracy", "fidelity", "none"]
Axis = Literal["latency", "energy", "accuracy", "agreement"]
Conclusion = Literal["faster", "slower", "no difference shown", "cannot tell yet"]


class Judgement(Struct, frozen=True):
    """One requirement held against one trial."""

    requirement: str
    """Name of a field of `require`; `selftest`, `accuracy_collapse` and `agreement_collapse` hold for every job."""
    limit: float | None
    outcome: Outcome
    value: float | None
    text: str
    """What was found and the limit, in words."""
    excess_ratio: float | None = None
    """How far the value is beyond the limit, as a share of the limit; None when met or unknown."""
    settle: str | None = None
    """What would settle it, when undecided."""
    more_images: float | None = None
    """Estimate of how many more images that takes, where images would do."""
    short: str | None = None
    """The text in a few words, where it is long."""


class RatioInterval(Struct, frozen=True):
    """How many times longer one trial's inference takes than another's, with its interval at `level`."""

    value: float
    low: float
    high: float
    level: float
    """Of this one interval; the family's level after correction is the verdict's."""
    paired: bool
    """Whether the two were measured side by side, block by block; drift is excluded only then."""
    blocks: int
    seconds: float
    """Time that both spent measuring what the ratio rests on."""


class Comparison(Struct, frozen=True):
    """Two precisions of one model on one runtime; the ratio is latency of `trial` over that of `other`."""

    kind: Literal["best", "same"]
    """`best`: each at its fastest setting; `same`: both at the same threads, cores and batch."""
    trial: str
    other: str
    precision: str
    other_precision: str
    runtime: str
    setting: str
    other_setting: str
    ratio: RatioInterval | None
    conclusion: Conclusion
    text: str
    """What the ratio shows, without the settings."""
    more_seconds: float | None = None
    """Estimate of what would settle it, when it cannot be told yet."""


class RuntimeComparison(Struct, frozen=True):
    """The trial to deploy against the best of another runtime; the ratio is its latency over that of `other`."""

    trial: str
    other: str
    runtime: str
    """With its version where two versions of one runtime are compared."""
    other_runtime: str
    ratio: RatioInterval | None
    conclusion: Conclusion
    text: str
    more_seconds: float | None = None
    """Estimate of what would settle it, when it cannot be told yet."""


class ParetoPoint(Struct, frozen=True):
    """One measured trial among latency, energy and accuracy, whatever the requirements say of it."""

    trial: str
    dominated_by: str | None
    """A trial that is at least as good by every axis and better by one, by what was measured; None: there is none."""
    certain: bool
    """Whether intervals show it; a trial whose dominance is not certain is still on the front."""
    text: str
    latency_seconds: Bounded | None = None
    energy_joules: Bounded | None = None
    accuracy: Bounded | None = None
    """Or agreement, as the axes say."""


class Stability(Struct, frozen=True):
    """Something with which the choice changes."""

    kind: Literal["threads", "runtime_version", "time"]
    text: str
    flips: list[str]
    """Trials, or labels of an earlier verdict's, that change places; the one that is better at first comes first."""


class Choice(Struct, frozen=True, kw_only=True):
    """One trial as a candidate for deployment."""

    trial: str
    label: str
    """Short, unique within the verdict: only what differs between its trials."""
    execution: str
    runtime: str
    runtime_version: str | None
    format: str
    variant: str = ""
    """Name that tells variants of one precision and format apart."""
    precision: str
    effective_precision: str | None
    threads: int
    cores: str
    batch: int
    status: ChoiceStatus
    rank: int | None = None
    """1 is the best by the goal of those shown to meet every requirement; None for all others."""
    reasons: list[str]
    judgements: list[Judgement] = []
    ratio: RatioInterval | None = None
    """Latency against the recommended trial."""
    latency_seconds: LatencySummary | None
    accuracy: Accuracy | None
    accuracy_drop: Drop | None
    fidelity: Fidelity | None = None
    """Against FP32 without labels: not accuracy."""
    selftest: SelfTest | None = None
    energy_joules_per_inference: EnergySummary | None
    power_watts: PowerSummary | None
    peak_rss_bytes: int | None
    size_bytes: int | None
    settled: bool | None
    eliminated: bool
    state: State
    """What measuring came to, apart from what the requirements say."""
    state_text: str
    """Why, and what would settle it; empty when settled."""
    more_seconds: float | None = None
    """Estimate of what measuring this trial would still take to settle it, when it is not."""
    scenario: str = "single-stream"
    figure: str
    """What ranks it, in words, such as `median 12.3 ms, 95 % interval 12 to 12.6 ms`; the goal's quantity first."""
    goal: Bounded | None = None
    """The goal's quantity, where the goal is not speed; None when it was not measured."""
    throughput_per_second: float | None = None
    throughput_per_second_interval: Bounded | None = None
    deadlines: Deadlines | None = None
    soak: Soak | None = None
    preprocess_seconds: StageSummary | None = None
    postprocess_seconds: StageSummary | None = None
    stages_reason: str | None = None
    end_to_end_seconds: float | None = None
    """Sum of the medians of preparation, inference and decoding."""
    after_switch_seconds: Bounded | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What to deploy on one board, or why that cannot be said."""

    job: str
    board: str
    model: str
    answer: Answer
    headline: str
    brief: str = ""
    """The answer in a few words, for a table of several models."""
    recommended: list[str]
    """Trial ids; empty unless the answer is `recommended`."""
    as_fast: list[str] = []
    """Trials that meet the requirements and are not shown to be worse by the goal than the recommended one."""
    if_shown: str | None = None
    """The best trial by the goal with an undecided requirement, when it is better than the recommended one."""
    nearest: str | None = None
    """The trial that misses by the least, when none meets the requirements."""
    goal: Goal = "latency"
    """What decides between deployments that meet every requirement."""
    proof: Proof = "none"
    """What the answer knows of being right: labels give accuracy, FP32's own detections only fidelity."""
    pareto_axes: list[Axis] = []
    """What was measured of more than one trial: latency, energy, and accuracy or, without labels, agreement."""
    pareto: list[ParetoPoint] = []
    stability: list[Stability] = []
    choices: list[Choice]
    comparisons: list[Comparison]
    runtimes: list[RuntimeComparison] = []
    """Empty where one runtime was measured only."""
    requirements: Require
    notes: list[str]
    level: float
    """All ratios of a family hold together at this level."""
    margin: float
    """Differences below this share count as none."""
    confidence: str
