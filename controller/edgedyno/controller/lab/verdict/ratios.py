"""The ratio of two trials' latencies, from bursts that ran in the same blocks, and what may be concluded.

The statistics are core's: valid bursts only, without the samples that pay for the switch between trials.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.model import Conclusion, RatioInterval
from edgedyno.controller.lab.verdict.objectives import figure_of, objective_of
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.result import Burst, Result, Samples
from edgedyno.core.statistics import MIN_BLOCKS, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL = 0.95
# Neighbouring 60 s windows of one unchanged file differed by up to 20 % (docs/method.md): what was not measured
# side by side shows nothing below that.
UNPAIRED_MARGIN = 0.20
HOPELESS_FACTOR = 1e3


class SampleBook:
    """The raw samples of each trial, read from the artifacts once."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._decode = msgspec.json.Decoder(Samples).decode
        self._trials: dict[str, _Kept] = {}
        self.unreadable: dict[str, str] = {}
        """Why, by sha256."""

    def samples(self, result: Result) -> Samples | None:
        """Return the raw samples, or None where there are none; a bad artifact is noted in `unreadable`."""
        sha256 = result.samples_sha256
        if sha256 is None:
            return None
        try:
            samples = self._decode(self._read(sha256))
        except (EdgedynoError, OSError, KeyError, msgspec.DecodeError) as error:
            self.unreadable[sha256] = f"{type(error).__name__}: {error}"
            return None
        if samples.trial != result.trial:
            self.unreadable[sha256] = say(
                "found samples of trial {found}, expected {expected}",
                found=samples.trial,
                expected=result.trial,
            )
            return None
        return samples

    def spent_seconds(self, result: Result) -> float:
        """Return how long the trial's bursts took in all, those included that do not count."""
        return self._kept(result).spent_seconds

    def steady(self, result: Result) -> dict[int, list[float]]:
        """Return the seconds of each block's valid bursts, without those right after the switch.

        Where several streams ran, one value for each block: seconds for each inference of all of them.
        """
        return self._kept(result).blocks

    def loads(self, result: Result) -> int:
        """Return how many processes the trial had."""
        return self._kept(result).loads

    def _kept(self, result: Result) -> _Kept:
        key = f"{result.execution}/{result.trial}"
        if key not in self._trials:
            samples = self.samples(result)
            spent = sum(map(_seconds_of, samples.bursts)) if samples else _spent(result)
            loads = len({burst.load for burst in samples.bursts}) if samples else 1
            self._trials[key] = _Kept({} if samples is None else _steady_blocks(samples), spent, loads)
        return self._trials[key]


class _Kept(NamedTuple):
    blocks: dict[int, list[float]]
    spent_seconds: float
    loads: int


def _seconds_of(burst: Burst) -> float:
    return sum(burst.latency_seconds) if burst.window_seconds is None else burst.window_seconds


def _steady_blocks(samples: Samples) -> dict[int, list[float]]:
    blocks: dict[int, list[float]] = {}
    for burst in samples.bursts:
        steady = _values(burst)
        if burst.valid and steady:
            blocks.setdefault(burst.block, []).extend(steady)
    return blocks


def _values(burst: Burst) -> list[float]:
    if burst.window_seconds is not None and burst.window_inferences:
        return [burst.window_seconds / burst.window_inferences]
    return burst.latency_seconds[burst.after_switch :]


def measure_ratio(trial: Result, other: Result, book: SampleBook, *, level: float) -> RatioInterval | None:
    """Return latency of `trial` over that of `other`: by shared blocks, or of medians where those are few."""
    together = trial.execution == other.execution and objective_of(trial).paired
    ours, theirs = (book.steady(trial), book.steady(other)) if together else ({}, {})
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < MIN_BLOCKS:
        return _unpaired(trial, other, book)
    ratio = paired_ratio(
        [ours[block] for block in shared],
        [theirs[block] for block in shared],
        level=level,
        loads=(book.loads(trial), book.loads(other)),
    )
    return RatioInterval(
        value=ratio.value,
        low=ratio.low,
        high=ratio.high,
        level=level,
        paired=True,
        blocks=ratio.blocks,
        seconds=book.spent_seconds(trial) + book.spent_seconds(other),
    )


def _spent(result: Result) -> float:
    latency = result.latency_seconds
    return latency.n * latency.mean if latency else 0.0


def _unpaired(trial: Result, other: Result, book: SampleBook) -> RatioInterval | None:
    a, b = figure_of(trial), figure_of(other)
    if a is None or b is None or a.low is None or a.high is None:
        return None
    if b.low is None or b.high is None or b.low <= 0:
        return None
    return RatioInterval(
        value=a.value / b.value,
        low=a.low / b.high,
        high=a.high / b.low,
        level=LEVEL,
        paired=False,
        blocks=0,
        seconds=book.spent_seconds(trial) + book.spent_seconds(other),
    )


def conclude(ratio: RatioInterval | None, margin: float) -> Conclusion:
    """Say what the interval shows: a difference counts only beyond `margin`, none only within it."""
    if ratio is None:
        return "cannot tell yet"
    border = margin if ratio.paired else max(margin, UNPAIRED_MARGIN)
    if ratio.low > 1 + border:
        return "slower"
    if ratio.high < 1 / (1 + border):
        return "faster"
    if ratio.paired and ratio.low >= 1 / (1 + border) and ratio.high <= 1 + border:
        return "no difference shown"
    return "cannot tell yet"


def seconds_to_settle(ratio: RatioInterval | None, margin: float) -> float | None:
    """Estimate how much more measuring of the pair would conclude; None where no reasonable time would.

    The width falls with the root of the time, and has to shrink to the distance to the nearer border.
    """
    if ratio is None or not ratio.paired or conclude(ratio, margin) != "cannot tell yet":
        return None
    value, border = math.log(ratio.value), math.log1p(margin)
    distance = min(abs(value - border), abs(value + border))
    half = (math.log(ratio.high) - math.log(ratio.low)) / 2
    if distance <= 0 or (half / distance) ** 2 > HOPELESS_FACTOR:
        return None
    return max(ratio.seconds * ((half / distance) ** 2 - 1), 1.0)
