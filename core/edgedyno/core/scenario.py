"""What a scenario can be asked for, and what soaks say about each other. No measuring here."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedyno.core.job import Scenario
    from edgedyno.core.result import Soak

# Slower inputs leave too few of them in a window of some seconds; faster ones come within a few times the
# 0.05 ms that waking up from a sleep takes, so the timer and not the model would be measured.
FPS_LEAST = 0.5
FPS_MOST = 2000.0


class Flip(NamedTuple):
    """`fresh` was faster in the first minute, `sustained` in the last."""

    fresh: str
    sustained: str


def check_scenario(scenario: Literal["single-stream"] | Scenario, *, max_seconds: float, trials: int) -> None:
    """Check that a scenario can be measured in `max_seconds` with so many trials on one board.

    A soak is never cut short, so all of them have to fit. Raises ConfigError with the numbers.
    """
    if isinstance(scenario, str):
        return
    given = [name for name in ("fixed_rate", "throughput", "soak") if getattr(scenario, name) is not None]
    if len(given) != 1:
        found = " and ".join(name.replace("_", "-") for name in given) or "none"
        raise ConfigError(
            f"sweep.scenario: found {found}, expected exactly one of fixed-rate, throughput, soak",
            code="scenario.invalid",
        )
    if scenario.fixed_rate is not None and not FPS_LEAST <= scenario.fixed_rate.fps <= FPS_MOST:
        raise ConfigError(
            f"sweep.scenario.fixed-rate.fps: found {scenario.fixed_rate.fps:g}, expected {FPS_LEAST:g} to "
            f"{FPS_MOST:g}",
            code="scenario.invalid",
        )
    if scenario.soak is not None and trials * scenario.soak.minutes * 60 > max_seconds:
        needed = trials * scenario.soak.minutes * 60
        raise ConfigError(
            f"sweep.scenario.soak.minutes: found {scenario.soak.minutes:g} min for {_count(trials)}, {needed:g} s in "
            f"all; expected at most measure.max_seconds, which is {max_seconds:g} s: raise it to {needed:g} s or "
            "shrink the sweep",
            code="soak.too-long",
        )


def _count(trials: int) -> str:
    return "1 trial" if trials == 1 else f"each of {trials} trials"


def rank_flips(soaks: Mapping[str, Soak]) -> list[Flip]:
    """Return the pairs whose order in the first minute is not that of the last, by the names of their trials.

    A pair counts where the intervals of both slowdowns lie apart: what noise alone could turn is no flip.
    """
    flips = []
    for first, second in combinations(soaks, 2):
        fresh, sustained = sorted((first, second), key=lambda name: soaks[name].first_p50)
        one, other = soaks[fresh], soaks[sustained]
        turned = one.first_p50 < other.first_p50 and one.last_p50 > other.last_p50
        low, high = one.slowdown.low, other.slowdown.high
        if turned and low is not None and high is not None and low > high:
            flips.append(Flip(fresh, sustained))
    return flips
