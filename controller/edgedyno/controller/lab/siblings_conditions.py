"""Which condition of a board is another one than on each of its siblings: what may explain a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edgedyno.core.board import Capabilities
    from edgedyno.core.result import Conditions, Result

# What is closer together than this is no other condition.
CELSIUS_APART = 3.0
CLOCK_APART = 0.01
SHARE_APART = 0.02
MEMORY_APART = 0.02
SPEED_APART = 0.1


class Differing(Struct, frozen=True):
    """A condition that is another one here than on every sibling."""

    condition: str
    here: str
    siblings: list[str]
    """Each value that siblings have, once."""


class _Number(NamedTuple):
    """A number of which only one direction explains anything."""

    value: float
    shown: str


def differing(
    board: str, siblings: Sequence[str], cell: Mapping[str, Result], boards: Mapping[str, Capabilities]
) -> list[Differing]:
    """Return the conditions in which `board` differs from all siblings, measured in one trial or found at enrolment."""
    others = [name for name in siblings if name in cell]
    if board not in cell or not others:
        return []
    found: list[Differing] = []
    for name, read in _WORDS.items():
        found += _words(
            name, read(cell[board], boards[board]), [read(cell[each], boards[each]) for each in others]
        )
    for name, (number, apart, up) in _NUMBERS.items():
        own = number(cell[board], boards[board])
        rest = [value for each in others if (value := number(cell[each], boards[each])) is not None]
        found += _number(name, own, rest, apart, up=up)
    return found


def _words(name: str, here: str, others: list[str]) -> Iterator[Differing]:
    if here not in others:
        yield Differing(name, here, sorted(set(others)))


def _number(
    name: str, own: _Number | None, others: list[_Number], apart: float | None, *, up: bool
) -> Iterator[Differing]:
    """Tell whether a number lies beyond all siblings' by `apart`: absolute, or a share where it is negative."""
    if own is None or not others or apart is None:
        return
    edge = max(others) if up else min(others)
    margin = apart if apart > 0 else -apart * abs(edge.value)
    beyond = own.value > edge.value + margin if up else own.value < edge.value - margin
    if beyond:
        low, high = min(others), max(others)
        shown = low.shown if low.shown == high.shown else f"{low.shown} to {high.shown}"
        yield Differing(name, own.shown, [shown])


def _set(values: Mapping[str, str]) -> str:
    return ", ".join(sorted(set(values.values()))) or "not told"


def _limits(conditions: Conditions) -> str:
    return (
        ", ".join(f"{hz / 1e6:.0f} MHz" for hz in sorted(set(conditions.frequency_max_hz.values())))
        or "not told"
    )


def _host(found: Capabilities, name: str) -> str:
    value = getattr(found.host, name, None) if found.host else None
    return str(value) if value else "none"


def _devices(found: Capabilities) -> str:
    clocks = found.host.device_clocks if found.host else []
    return ", ".join(f"{clock.name} {clock.governor}" for clock in clocks) or "none"


_WORDS: dict[str, Callable[[Result, Capabilities], str]] = {
    "governor": lambda result, _: _set(result.conditions.governor),
    "clock limit": lambda result, _: _limits(result.conditions),
    "power mode": lambda result, _: result.conditions.power_mode or "none",
    "kernel": lambda result, found: result.conditions.kernel or found.kernel,
    "system": lambda _, found: found.os,
    "agent": lambda result, found: result.conditions.agent_version or found.agent_version,
    "offline CPUs": lambda _, found: ", ".join(map(str, found.cpu.offline)) or "none",
    "device clocks": lambda _, found: _devices(found),
    "container": lambda _, found: _host(found, "container"),
    "virtual machine": lambda _, found: _host(found, "virtual_machine"),
    "instructions": lambda _, found: ", ".join(found.cpu.features),
    "environment": lambda result, _: str(result.conditions.extra.get("environment", "default")),
}


def _hottest(result: Result, _: Capabilities) -> _Number | None:
    warmest = max(result.conditions.temperature_celsius.values(), default=None)
    return None if warmest is None else _Number(warmest, f"{warmest:.0f} °C")


def _clock(result: Result, _: Capabilities) -> _Number | None:
    cores = [hz for name, hz in result.conditions.frequency_hz.items() if not name.startswith("devfreq")]
    return _Number(min(cores), f"{min(cores) / 1e6:.0f} MHz") if cores else None


def _memory(_: Result, found: Capabilities) -> _Number | None:
    size = found.memory_bytes
    return None if size is None else _Number(size, format_bytes(size))


def _copy_speed(_: Result, found: Capabilities) -> _Number | None:
    sets = [each for each in found.speeds.sets if each.cores == "all"] if found.speeds else []
    speed = sets[0].copy_bytes_per_second if sets else None
    return _Number(speed, f"{speed / 1e9:.3g} GB/s") if speed else None


def _share(read: Callable[[Conditions], float | None]) -> Callable[[Result, Capabilities], _Number | None]:
    def number(result: Result, _: Capabilities) -> _Number | None:
        value = read(result.conditions)
        return None if value is None else _Number(value, f"{value:.1%}")

    return number


# By name: how it is read, how far apart counts (negative: a share of the value), and whether more is worse.
_NUMBERS: dict[str, tuple[Callable[[Result, Capabilities], _Number | None], float, bool]] = {
    "temperature": (_hottest, CELSIUS_APART, True),
    "lowest clock": (_clock, -CLOCK_APART, False),
    "memory": (_memory, -MEMORY_APART, False),
    "memory bandwidth": (_copy_speed, -SPEED_APART, False),
    "CPU time of others": (_share(lambda conditions: conditions.foreign_cpu_ratio), SHARE_APART, True),
    "time taken by the hypervisor": (_share(lambda conditions: conditions.steal_ratio), SHARE_APART, True),
    "memory pressure": (_share(lambda conditions: conditions.pressure.get("memory_some")), SHARE_APART, True),
}
