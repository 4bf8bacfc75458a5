"""The ratio of two trials' latencies, from bursts that ran in the same blocks, and what may be concluded.

The statistics are core's; this module decides which samples go in: valid bursts only, and of each burst not the
first inference, which pays for the switch (METHOD.md 1.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.verdict.model import Conclusion, RatioInterval
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.result import Result, Samples
from edgedyno.core.statistics import paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL = 0.95
MIN_BLOCKS = 8
# Neighbouring 60 s windows of one unchanged file differed by up to 20 % (METHOD.md 1.5): what was not measured
# side by side shows nothing below that.
UNPAIRED_MARGIN = 0.20
HOPELESS_FACTOR = 1e3

Steady = dict[int, list[float]]


class SampleBook:
    """The steady latencies of each trial by block, read from the artifacts once."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._decode = msgspec.json.Decoder(Samples).decode
        self._steady: dict[str, Steady] = {}
        self.unreadable: dict[str, str] = {}
        """Reasons, by label of the trial's samples artifact."""

    def samples(self, result: Result) -> Samples | None:
        """Return the raw samples, or None where there are none; a bad artifact is noted in `unreadable`."""
        sha256 = result.samples_sha256
        if sha256 is None:
            return None
        try:
            return self._decode(self._read(sha256))
        except (EdgedynoError, OSError, KeyError, msgspec.DecodeError) as error:
            self.unreadable[sha256] = f"{type(error).__name__}: {error}"
            return None

    def steady(self, result: Result) -> Steady:
        """Return the latencies in seconds by block, without invalid bursts and firsts after a switch."""
        key = f"{result.execution}/{result.trial}"
        if key not in self._steady:
            samples = self.samples(result)
            self._steady[key] = {} if samples is None else steady_latencies(samples)
        return self._steady[key]


def steady_latencies(samples: Samples) -> Steady:
    """Return the latencies by block; a burst of one inference keeps it, since all its like pay the same."""
    by_block: Steady = {}
    for burst in samples.bursts:
        if burst.valid and burst.latency_seconds:
            kept = burst.latency_seconds[1:] or burst.latency_seconds
            by_block.setdefault(burst.block, []).extend(kept)
    return by_block


def measure_ratio(trial: Result, other: Result, book: SampleBook, *, level: float) -> RatioInterval | None:
    """Return latency of `trial` over that of `other`; paired where enough blocks are shared, else from medians."""
    ours, theirs = book.steady(trial), book.steady(other)
    shared = sorted(ours.keys() & theirs.keys()) if trial.execution == other.execution else []
    if len(shared) < MIN_BLOCKS:
        return _unpaired(trial, other)
    blocks = [(ours[block], theirs[block]) for block in shared]
    ratio = paired_ratio([a for a, _ in blocks], [b for _, b in blocks], level=level)
    seconds = math.fsum(math.fsum(a) + math.fsum(b) for a, b in blocks)
    return RatioInterval(ratio.value, ratio.low, ratio.high, level, True, len(shared), seconds)  # noqa: FBT003 (field)


def _unpaired(trial: Result, other: Result) -> RatioInterval | None:
    a, b = trial.latency_seconds, other.latency_seconds
    if a is None or b is None or a.p50_low is None or a.p50_high is None:
        return None
    if b.p50_low is None or b.p50_high is None or b.p50_low <= 0:
        return None
    return RatioInterval(
        value=a.p50 / b.p50,
        low=a.p50_low / b.p50_high,
        high=a.p50_high / b.p50_low,
        level=LEVEL,
        paired=False,
        blocks=0,
        seconds=a.n * a.mean + b.n * b.mean,
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

    The interval's width falls with the root of the time, so it has to shrink to the distance to the nearer border.
    """
    if ratio is None or not ratio.paired or conclude(ratio, margin) != "cannot tell yet":
        return None
    value, border = math.log(ratio.value), math.log1p(margin)
    distance = min(abs(value - border), abs(value + border))
    half = (math.log(ratio.high) - math.log(ratio.low)) / 2
    if distance <= 0 or (half / distance) ** 2 > HOPELESS_FACTOR:
        return None
    return max(ratio.seconds * ((half / distance) ** 2 - 1), 1.0)
