"""Judge the clocks of the used cores over a window: governor, limits, and the clock itself where it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.devices import read_device_clock
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
# These raise the clock to its limit under load (kernel, admin-guide/pm/cpufreq); `powersave` does only in the
# two drivers that call their own algorithm so (admin-guide/pm/intel_pstate, amd-pstate).
RAMPING_GOVERNORS = frozenset({"ondemand", "schedutil", "conservative", "interactive"})
RAMPING_DRIVERS = frozenset({"intel_pstate", "amd-pstate-epp"})
# On a policy that was busy for 80 % of a window schedutil asks for 1.25 times that: the limit itself. Half of
# the limit is far below anything but a clock that something else holds down.
BUSY_SHARE = 0.8
CLOCK_FLOOR = 0.5
# Reading a clock interrupts its core on x86 and on cppc; a window's cost has to stay below a millisecond.
MAX_POLICIES = 8


class ClockState(Struct, frozen=True):
    """One cpufreq policy at one moment."""

    governor: str | None
    frequency_hz: float | None
    limit_hz: float | None
    driver: str | None = None
    boosts: bool = False
    """Whether the clock may go above what all cores can hold together."""

    @property
    def varies(self) -> bool:
        """Whether the clock moves by design: its governor does it, or how many cores are busy."""
        return self.boosts or self.governor not in STEADY_GOVERNORS

    @property
    def ramps(self) -> bool:
        """Whether the governor raises the clock to the limit when its cores are busy."""
        by_driver = self.governor == "powersave" and self.driver in RAMPING_DRIVERS
        boosted = self.governor == "performance" and self.boosts
        return by_driver or boosted or self.governor in RAMPING_GOVERNORS


def watched(policies: list[Policy]) -> list[Policy]:
    """Return at most MAX_POLICIES policies, spread evenly over all."""
    if len(policies) <= MAX_POLICIES:
        return policies
    return [policies[index * len(policies) // MAX_POLICIES] for index in range(MAX_POLICIES)]


def read_clock_state(root: Path, policy: Policy, *, boosts: bool = False) -> ClockState:
    """Read governor, clock and limit of a policy; what cannot be read is None."""
    folder = root / CPU_FOLDER / "cpufreq" / policy.name
    return ClockState(
        governor=read_text(folder / "scaling_governor"),
        frequency_hz=_hertz(folder / "scaling_cur_freq"),
        limit_hz=_hertz(folder / "scaling_max_freq"),
        driver=read_text(folder / "scaling_driver"),
        boosts=boosts,
    )


def read_device_state(root: Path, name: str) -> ClockState:
    """Read governor, clock and limit of a devfreq device, such as the memory controller."""
    clock = read_device_clock(root, name)
    return ClockState(clock.governor, clock.frequency_hz or None, clock.max_hz or None)


def _hertz(path: Path) -> float | None:
    khz = read_float(path)
    return khz * 1000 if khz and khz > 0 else None


def slowed(before: Mapping[str, ClockState], after: Mapping[str, ClockState]) -> list[str]:
    """Return why the clocks void a window: another governor, a lower limit, a held clock that fell.

    `before` is the start of the first window: a clock that sinks by little in each window has sunk too.
    """
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


def held_down(after: Mapping[str, ClockState], busy: Mapping[str, float]) -> list[str]:
    """Return which clocks were low though their cores were busy and their governor should have raised them.

    `busy` is the share of the window that the busiest core of each policy worked; unknown policies are not
    judged.
    """
    reasons = []
    for name, state in after.items():
        if not state.ramps or busy.get(name, 0.0) < BUSY_SHARE:
            continue
        now, limit = state.frequency_hz, state.limit_hz
        if now is not None and limit is not None and now < limit * CLOCK_FLOOR:
            reasons.append(
                f"clock of {name} was at {now / 1e6:.0f} of {limit / 1e6:.0f} MHz though its cores were busy "
                f"(bound {CLOCK_FLOOR:.0%})"
            )
    return reasons
