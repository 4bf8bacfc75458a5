"""The scenarios beside single-stream: one module each, measured on the contenders that the runner has loaded.

`run` takes the race's place. Each scenario obeys `stop` within a window, keeps what it measured as bursts in
the trials' logs, and costs one trial, not the run, where a worker fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.measure.scenarios.base import Setting
from edgedyno.agent.measure.scenarios.fixedrate import run_fixed_rate
from edgedyno.agent.measure.scenarios.outcome import scenario_fields
from edgedyno.agent.measure.scenarios.soak import HEAT, run_soak
from edgedyno.agent.measure.scenarios.throughput import run_throughput

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from typing import Literal

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.race import Pace
    from edgedyno.core.job import Scenario

__all__ = ["NOT_METERED", "Setting", "is_metered", "least_seconds", "looked_for", "run", "scenario_fields"]

_RUN = {"fixed_rate": run_fixed_rate, "throughput": run_throughput, "soak": run_soak}
NOT_METERED = "power is metered on inferences back to back, which this scenario does not run on one worker"


def run(
    scenario: Scenario,
    group: Sequence[Contender],
    setting: Setting,
    *,
    stop: threading.Event,
    between: Callable[[Pace], None],
) -> None:
    """Measure a group of loaded contenders by a scenario that `check_scenario` has passed."""
    for name, run_scenario in _RUN.items():
        if getattr(scenario, name) is not None:
            run_scenario(scenario, group, setting, stop=stop, between=between)
            return


def is_metered(scenario: Literal["single-stream"] | Scenario) -> bool:
    """Tell whether the power of inferences back to back is that of this scenario."""
    return isinstance(scenario, str) or scenario.soak is not None


def looked_for(scenario: Literal["single-stream"] | Scenario) -> tuple[str, ...]:
    """Return how the reasons begin that do not disturb this scenario, because it looks for them."""
    return () if isinstance(scenario, str) or scenario.soak is None else HEAT


def least_seconds(scenario: Literal["single-stream"] | Scenario, trials: int) -> float:
    """Return the seconds that a scenario takes for so many trials whatever the budget: soaks are never cut."""
    if isinstance(scenario, str) or scenario.soak is None:
        return 0.0
    return trials * scenario.soak.minutes * 60
