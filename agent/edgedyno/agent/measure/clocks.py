"""Judge the clocks of the used cores over a window: governor, limits, and the clock itself if it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.read import read_float, read_text
from edgedyno.agent.host.topology import CPU_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedyno.agent.host.topology import Policy

# A held clock jitters by the resolution of its counters (cppc_cpufreq, aperf/mperf: 1 to 2 %).
CLOCK_DROP_BOUND = 0.05
# These hold the clock; every other governor moves it by design.
STEADY_GOVERNORS = frozenset({"performance", "userspace"})
# Reading a clock interrupts its core on x86 and on cppc; a window's cost has to stay below a millisecond.
MAX_POLICIES = 8


class ClockState(Struct, frozen=True):
    """One cpufreq policy at one moment."""

    governor: str | None
    frequency_hz: float | None
    limit_hz: float | None

    @property
    def varies(self) -> bool:
        """Whether the governor moves the clock by design."""
        return self.governor not in STEADY_GOVERNORS


def watched(policies: list[Policy]) -> list[Policy]:
    """Return at most MAX_POLICIES policies, spread evenly over all."""
    if len(policies) <= MAX_POLICIES:
        return policies
    return [policies[index * len(policies) // MAX_POLICIES] for index in range(MAX_POLICIES)]


def read_clock_state(root: Path, policy: Policy) -> ClockState:
    """Read governor, clock and limit of a policy; what cannot be read is None."""
    folder = root / CPU_FOLDER / "cpufreq" / policy.name
    return ClockState(
        governor=read_text(folder / "scaling_governor"),
        frequency_hz=_hertz(folder / "scaling_cur_freq"),
        limit_hz=_hertz(folder / "scaling_max_freq"),
    )


def _hertz(path: Path) -> float | None:
    khz = read_float(path)
    return khz * 1000 if khz and khz > 0 else None


def slowed(before: Mapping[str, ClockState], after: Mapping[str, ClockState]) -> list[str]:
    """Return why the clocks void a window: another governor, a lower limit, a held clock that fell."""
    reasons = []
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            continue
        if old.governor != new.governor:
            reasons.append(f"governor of {name} changed from {old.governor} to {new.governor}")
        if fall := _fall(old.limit_hz, new.limit_hz):
            reasons.append(f"clock limit of {name} fell {fall}")
        if not (old.varies or new.varies) and (fall := _fall(old.frequency_hz, new.frequency_hz)):
            reasons.append(f"clock of {name} fell {fall}")
    return reasons


def _fall(before_hz: float | None, after_hz: float | None) -> str | None:
    if before_hz is None or after_hz is None or after_hz >= before_hz * (1 - CLOCK_DROP_BOUND):
        return None
    return f"from {before_hz / 1e6:.0f} to {after_hz / 1e6:.0f} MHz (bound {CLOCK_DROP_BOUND:.0%})"
