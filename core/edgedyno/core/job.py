"""The job specification: what, where, the sweep, how to measure, what is required."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from edgedyno.core.profile import DatasetProfile, ModelProfile, Name
from edgedyno.core.rollout import Rollout, Schedule, Window
from edgedyno.core.targets import BoardSelector
from edgedyno.core.units import Bytes, Joules, PerSecond, Ratio, Seconds, Watts

Precision = Literal["fp32", "fp16", "int8"]
Threads = Annotated[int, Meta(ge=1, le=4096)] | Literal["all"]
Goal = Literal["latency", "throughput", "energy", "power", "accuracy", "memory", "size"]
_ANY = Meta(min_length=1)
_POSITIVE = Meta(gt=0)
# An interval as wide as the value itself tells nothing: beyond 50 % a typing error is likelier (2 for 2%).
_PRECISION = Meta(gt=0, le=0.5)
_RETRIES = Meta(ge=0, le=20)


class FixedRate(Struct, frozen=True, forbid_unknown_fields=True):
    """A camera: inputs arrive by the clock."""

    fps: Annotated[PerSecond, Meta(gt=0)]


class Throughput(Struct, frozen=True, forbid_unknown_fields=True):
    """Several streams at once."""

    streams: Annotated[int, Meta(ge=1, le=1024)]


class Soak(Struct, frozen=True, forbid_unknown_fields=True):
    """Sustained load, until heat has settled."""

    minutes: Annotated[float, Meta(gt=0, le=1440)]


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab"):
    """A scenario with parameters; exactly one is given."""

    fixed_rate: FixedRate | None = None
    throughput: Throughput | None = None
    soak: Soak | None = None


class Sweep(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The cells to try: runtimes x precisions x threads x cores x batch."""

    runtimes: list[str] = []
    """Empty: every runtime that the board has and that can run a variant."""
    formats: list[str] = []
    """Empty: for each runtime the first of its formats that the model has a variant in."""
    precisions: Annotated[list[Precision], _ANY] = field(default_factory=lambda: ["fp32", "fp16", "int8"])
    threads: Annotated[list[Threads], _ANY] = field(default_factory=lambda: [1, "all"])
    cores: Annotated[list[str], _ANY] = field(default_factory=lambda: ["all"])
    batch: Annotated[list[Annotated[int, Meta(ge=1, le=1024)]], _ANY] = field(default_factory=lambda: [1])
    scenario: Literal["single-stream"] | Scenario = "single-stream"


class Measure(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How surely and how long to measure."""

    precision: Annotated[Ratio, _PRECISION] = 0.02
    """Half-width of the 95 % interval of each median and of the ratios that decide."""
    max_seconds: Annotated[Seconds, Meta(ge=1)] = 600.0
    """For measuring one execution; what it could not settle is reported as such."""
    profile: bool = False
    """Whether each trial also tells how long each of its operators takes, where its runtime can."""


class Require(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits that the deployment must meet; the verdict obeys them."""

    latency_p50: Annotated[Seconds, _POSITIVE] | None = None
    latency_p90: Annotated[Seconds, _POSITIVE] | None = None
    latency_p95: Annotated[Seconds, _POSITIVE] | None = None
    latency_p99: Annotated[Seconds, _POSITIVE] | None = None
    throughput: Annotated[PerSecond, _POSITIVE] | None = None
    accuracy: Annotated[Ratio, Meta(ge=0, le=1)] | None = None
    accuracy_drop: Annotated[Ratio, Meta(gt=-1, lt=1)] | None = None
    """Against this model's FP32 on the same images."""
    agreement: Annotated[Ratio, Meta(ge=0, le=1)] | None = None
    """Share of what FP32 sees that the variant sees too: for data without labels."""
    power: Annotated[Watts, _POSITIVE] | None = None
    energy: Annotated[Joules, _POSITIVE] | None = None
    """Per inference."""
    memory: Annotated[Bytes, _POSITIVE] | None = None
    size: Annotated[Bytes, _POSITIVE] | None = None


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When an execution ends as TIMED_OUT."""

    whole: Annotated[Seconds, _POSITIVE] = 7200.0
    """From its start to its end."""
    silence: Annotated[Seconds, _POSITIVE] = 900.0
    """Without a word from its board."""
    queue: Annotated[Seconds, _POSITIVE] = 86400.0
    """From submission to its start."""


class Retry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often an execution that failed is tried again by itself, by the class of its failure, and how soon."""

    infrastructure: Annotated[int, _RETRIES] = 3
    """Network, broker, controller: an attempt whose board fell silent, a file that could not be had."""
    device: Annotated[int, _RETRIES] = 2
    """The board: its runner died again and again, its disk was full, it took too long."""
    job: Annotated[int, _RETRIES] = 0
    """What was asked for cannot be done."""
    model: Annotated[int, _RETRIES] = 0
    """The model or a variant of it cannot be used."""
    backoff: Annotated[Seconds, _POSITIVE] = 30.0
    """Before the first retry; it doubles with each one, and about half of it is left to chance."""
    backoff_max: Annotated[Seconds, _POSITIVE] = 900.0


class JobSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job as its YAML file states it; names and paths are not yet looked up."""

    name: Name
    model: str | ModelProfile
    dataset: str | DatasetProfile | None = None
    boards: BoardSelector = BoardSelector(all=True)
    sweep: Sweep = Sweep()
    measure: Measure = Measure()
    require: Require = Require()
    goal: Goal = "latency"
    """What decides between deployments that meet every requirement."""
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    """Of two jobs that wait for a board the higher one goes first; what runs is never interrupted."""
    rollout: Rollout | None = None
    """Without it every board may have the job at once."""
    schedule: Schedule | None = None
    windows: list[Window] = []
    """Outside of them nothing new starts; what runs goes on. Empty: at any time."""
    only_when_idle: bool = False
    """Whether a board must be idle before it gets the job: see docs/rollout.md for what that is."""
