"""The way of one image: preparing it, inferring, decoding the output. Sums only; the medians come from results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedyno.core.result import Result

# Where inputs arrive by the clock or several streams share the cores, latencies do not add up to a way.
ADDING_UP = ("single-stream", "soak")
END_TO_END = "end to end (sum of three medians)"


def end_to_end_seconds(result: Result) -> float | None:
    """Return the sum of the medians of preparation, inference and decoding; None unless all three are known.

    It is a sum of medians, not a median of sums: the three were never measured in one go.
    """
    before, after, latency = result.preprocess_seconds, result.postprocess_seconds, result.latency_seconds
    if before is None or after is None or latency is None or scenario_kind(result) not in ADDING_UP:
        return None
    return before.p50 + latency.p50 + after.p50


def scenario_kind(result: Result) -> str:
    """Return a scenario's name without its parameters: `fixed-rate` of `fixed-rate 30 fps`."""
    return result.scenario.partition(" ")[0]
