"""Capabilities as lines for people, within the width of a terminal. Not responsible for reading them."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgedyno.core.board import Capabilities, CoreSetSpeed, DeviceClock, Host, RuntimeInfo, Speeds

INDENT = 9
MOST_SETS = 10  # a server has a cluster for every four cores
LEAST_WIDTH, MOST_WIDTH = 60, 140


def columns_here() -> int:
    """Return how wide lines for people may be: the terminal's width, within what reads well."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, LEAST_WIDTH), MOST_WIDTH)


def caps_table(capabilities: Capabilities, width: int | None = None) -> str:
    """Write capabilities for people; `width` is the terminal's where it is not given."""
    columns = width or columns_here()
    lines = []
    for name, text in _rows(capabilities):
        lines.append(
            textwrap.fill(
                f"{name:<{INDENT}}{text}",
                columns,
                subsequent_indent=" " * INDENT,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines) + "\n"


def _rows(found: Capabilities) -> Iterator[tuple[str, str]]:
    yield "board", f"{found.name} (profile {found.profile}, {found.arch})"
    yield "system", f"{found.os}, kernel {found.kernel}"
    yield "memory", format_bytes(found.memory_bytes) if found.memory_bytes else "not told"
    if found.host:
        yield from _host(found.host)
    yield "features", ", ".join(found.cpu.features) or "none that matter here"
    yield from _core_sets(found)
    if found.speeds:
        yield from _speeds(found.speeds)
    elif found.speeds_reason:
        yield "speed", found.speeds_reason
    yield from _runtimes(found.runtimes)
    for source in (each for each in found.power if not each.absent):
        watts = "" if source.watts is None else f", {source.watts:.3g} W as recorded"
        usable = _availability(available=source.available, reason=source.reason)
        yield "power", f"{source.source} ({source.scope}): {usable}{watts}"
    absent = [source.source for source in found.power if source.absent]
    if absent:
        yield "power", f"no sign of {', '.join(absent)} here"
    for each in found.throttle:
        yield "throttle", f"{each.source}: {_availability(available=each.available, reason=each.reason)}"
    if not found.throttle:
        yield "throttle", "no counter or flag on this board"
    if found.host:
        yield from (("differs", text) for text in found.host.differs)
        yield from (("file", text) for text in found.host.problems)


def _runtimes(runtimes: list[RuntimeInfo]) -> Iterator[tuple[str, str]]:
    """Tell each that works; those that do not for one and the same reason together."""
    reasons: dict[tuple[str, str | None], list[str]] = {}
    for runtime in runtimes:
        if runtime.available:
            yield "runtime", f"{runtime.name} {runtime.version or ''} in {runtime.environment}: yes"
        else:
            name = f"{runtime.name} {runtime.version}" if runtime.version else runtime.name
            reasons.setdefault((runtime.environment, runtime.reason), []).append(name)
    for (environment, reason), names in reasons.items():
        where = f" in {environment}" if environment else ""
        yield "runtime", f"{', '.join(names)}{where}: {_availability(available=False, reason=reason)}"


def _host(host: Host) -> Iterator[tuple[str, str]]:
    for core in host.cores:
        words = [core.name or "unknown core", core.revision, core.part]
        size = f", capacity {core.capacity}" if core.capacity is not None else ""
        yield "cpu", f"{core.cpus}: {' '.join(word for word in words if word)}{size}"
    if host.caches:
        yield (
            "caches",
            "; ".join(
                f"L{cache.level} {cache.kind} {cache.size_bytes >> 10} KiB for {cache.shared_by}"
                for cache in host.caches
            ),
        )
    for node in host.nodes:
        size = "memory not told" if node.memory_bytes is None else format_bytes(node.memory_bytes)
        distances = " ".join(map(str, node.distances))
        yield "node", f"{node.node}: CPUs {node.cpus or 'none'}, {size}, distances {distances or 'not told'}"
    if host.governors:
        yield "governor", _grouped(host.governors)
    yield from (("clock", _device_clock(clock)) for clock in host.device_clocks)
    for name, text in (
        ("mode", host.power_mode),
        ("inside", host.container and f"a {host.container} container"),
        ("inside", host.virtual_machine and f"a virtual machine ({host.virtual_machine})"),
    ):
        if text:
            yield name, text
    if host.limits:
        yield "limits", _limits(host)


def _limits(host: Host) -> str:
    limits = host.limits
    parts = []
    if limits and limits.cpus is not None:
        parts.append(f"{limits.cpus:g} CPUs' time")
    if limits and limits.cpuset:
        parts.append(f"CPUs {limits.cpuset}")
    if limits and limits.memory_bytes:
        parts.append(format_bytes(limits.memory_bytes))
    return "control group: " + ", ".join(parts)


def _device_clock(clock: DeviceClock) -> str:
    now = "not told" if clock.frequency_hz is None else f"{clock.frequency_hz / 1e6:.0f}"
    most = "" if clock.max_hz is None else f" of {clock.max_hz / 1e6:.0f}"
    return f"{clock.name}: {now}{most} MHz, {clock.governor or 'governor not told'}"


def _grouped(values: dict[str, str]) -> str:
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return "; ".join(
        value if len(names) == 1 else f"{value} on {', '.join(which)}" for value, which in names.items()
    )


def _core_sets(found: Capabilities) -> Iterator[tuple[str, str]]:
    from edgedyno.agent.host.cpulist import format_cpu_list

    sets = list(found.core_sets.items())
    shown = sets if len(sets) <= MOST_SETS else [each for each in sets if not each[0].startswith("cluster")]
    for name, cpus in shown:
        yield "cores", f"{name}: {format_cpu_list(cpus) or 'none that the agent may use'}"
    left_out = [each for each in sets if each not in shown]
    if left_out:
        (first, first_cpus), (last, last_cpus) = left_out[0], left_out[-1]
        text = f"{first}: {format_cpu_list(first_cpus)} … {last}: {format_cpu_list(last_cpus)}"
        yield "cores", f"{text} ({len(left_out)} clusters)"


def _speeds(speeds: Speeds) -> Iterator[tuple[str, str]]:
    for each in speeds.sets:
        yield "speed", f"{each.cores}, {_threads(each.threads)}: {', '.join(_quantities(each))}"
    yield from (("speed", f"{name} by {method}") for name, method in speeds.methods.items())
    yield from (("speed", f"{name} not measured: {reason}") for name, reason in speeds.reasons.items())


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _quantities(speed: CoreSetSpeed) -> Iterable[str]:
    if speed.copy_bytes_per_second:
        yield f"copy {speed.copy_bytes_per_second / 1e9:.3g} GB/s"
    for precision, rate in speed.operations_per_second.items():
        yield f"{precision} {rate / 1e9:.3g} G operations/s"


def _availability(*, available: bool, reason: str | None) -> str:
    return "yes" if available else f"no ({reason or 'no reason given'})"
