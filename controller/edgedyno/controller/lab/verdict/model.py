"""The verdict as data: the answer for one board and model, what it rests on, and words for each part.

Numbers and words stand side by side, so that the CLI, the API, the report and the metrics all speak from one
model. Nothing here computes.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgedyno.core.job import Require
from edgedyno.core.result import (
    Accuracy,
    Bounded,
    Deadlines,
    Drop,
    EnergySummary,
    LatencySummary,
    PowerSummary,
    Soak,
    StageSummary,
)

Answer = Literal["recommended", "cannot tell", "none meets"]
ChoiceStatus = Literal[
    "recommended", "acceptable", "undecided", "rejected", "void", "failed", "skipped", "not tried"
]
State = Literal["settled", "not settled", "eliminated", "void", "failed", "skipped", "not tried"]
Outcome = Literal["met", "violated", "undecided"]
Conclusion = Literal["faster", "slower", "no difference shown", "cannot tell yet"]


class Judgement(Struct, frozen=True):
    """One requirement held against one trial."""

    requirement: str
    limit: float
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


class Choice(Struct, frozen=True, kw_only=True):
    """One trial as a candidate for deployment."""

    trial: str
    label: str
    """Short, unique within the verdict: only what differs between its trials."""
    execution: str
    runtime: str
    runtime_version: str | None
    format: str
    precision: str
    effective_precision: str | None
    threads: int
    cores: str
    batch: int
    status: ChoiceStatus
    rank: int | None = None
    """1 is the fastest of those shown to meet every requirement; None for all others."""
    reasons: list[str]
    judgements: list[Judgement] = []
    ratio: RatioInterval | None = None
    """Latency against the recommended trial."""
    latency_seconds: LatencySummary | None
    accuracy: Accuracy | None
    accuracy_drop: Drop | None
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
    """What the scenario ranks by, in words, such as `median 12.3 ms, 95 % interval 12 to 12.6 ms`."""
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
    recommended: list[str]
    """Trial ids; empty unless the answer is `recommended`."""
    as_fast: list[str] = []
    """Trials that meet the requirements and are not shown to be slower than the recommended one."""
    if_shown: str | None = None
    """The fastest trial with an undecided requirement, when it is faster than the recommended one."""
    nearest: str | None = None
    """The trial that misses by the least, when none meets the requirements."""
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
