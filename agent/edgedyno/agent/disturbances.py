"""What on this board would disturb a measurement, and how to mend it. Looks only; changes nothing.

Split by where it comes from: clocks, the kernel's ways with CPUs and memory, and other programs (neighbours).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.finding import Finding
from edgedyno.agent.host.devices import DEVFREQ_FOLDER, STEADY_GOVERNORS, is_memory, read_device_clocks
from edgedyno.agent.host.powermode import ask_power_mode, read_power_mode
from edgedyno.agent.host.proc import read_cpu_times, read_pressure_seconds, read_swapped_pages
from edgedyno.agent.host.quota import quota_folders, read_quota
from edgedyno.agent.host.read import entries, read_float, read_int, read_text
from edgedyno.agent.host.throttle import SINCE_BOOT, find_throttle_probes
from edgedyno.agent.host.topology import CPU_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.host.place import Place

# Bins of one kind of core differ in their last step; a limit that someone set is farther away.
LIMIT_BOUND = 0.98
_SLOW_MODES = frozenset(["low-power", "quiet", "cool"])
STEAL_SINCE_BOOT_BOUND = 0.01
_CPUFREQ = f"/{CPU_FOLDER}/cpufreq"


def clock_findings(place: Place) -> Iterator[Finding]:
    """Look at governors, limits and boost."""
    yield from _governors(place)
    yield from _limits(place)
    yield from _boost(place)
    yield from _memory_clock(place)
    yield from _throttled(place)
    yield from _power_mode(place)


def _policies(place: Place) -> list[str]:
    return [name for name in entries(place.path(CPU_FOLDER, "cpufreq")) if name.startswith("policy")]


def _governors(place: Place) -> Iterator[Finding]:
    found: dict[str, list[str]] = {}
    for name in _policies(place):
        governor = read_text(place.path(CPU_FOLDER, "cpufreq", name, "scaling_governor"))
        found.setdefault(governor or "unreadable", []).append(name)
    if not found:
        yield Finding("governor", "ok", "no cpufreq: the clock is not ours to see or set")
        return
    other = {governor: names for governor, names in found.items() if governor != "performance"}
    if not other:
        yield Finding("governor", "ok", "performance")
        return
    text = "; ".join(f"{governor} on {', '.join(names[:4])}" for governor, names in other.items())
    remedy = f"echo performance | sudo tee {_CPUFREQ}/policy*/scaling_governor"
    yield Finding("governor", "warn", f"{text}: clocks will move within measurements", remedy)


def _limits(place: Place) -> Iterator[Finding]:
    held = []
    for name in _policies(place):
        folder = place.path(CPU_FOLDER, "cpufreq", name)
        limit, most = read_float(folder / "scaling_max_freq"), read_float(folder / "cpuinfo_max_freq")
        if limit and most and limit < most * LIMIT_BOUND:
            held.append((name, limit, most))
    if held:
        parts = [f"{name} at {limit / 1e3:.0f} of {most / 1e3:.0f} MHz" for name, limit, most in held[:4]]
        remedy = (
            f"for p in {_CPUFREQ}/policy*; do sudo cp $p/cpuinfo_max_freq $p/scaling_max_freq; done, "
            "or another power mode (nvpmodel), if the board is to run faster in use"
        )
        yield Finding("clock limit", "warn", f"the clock is limited: {', '.join(parts)}", remedy)


def _boost(place: Place) -> Iterator[Finding]:
    text = "boost is on: the clock depends on heat and on how many cores are busy"
    if read_int(place.path(CPU_FOLDER, "intel_pstate/no_turbo")) == 0:
        yield Finding("boost", "info", text, f"echo 1 | sudo tee /{CPU_FOLDER}/intel_pstate/no_turbo")
    elif read_int(place.path(CPU_FOLDER, "cpufreq/boost")) == 1:
        yield Finding("boost", "info", text, f"echo 0 | sudo tee {_CPUFREQ}/boost")


def _memory_clock(place: Place) -> Iterator[Finding]:
    """Look at the memory's own clock: one that idles low and rises under load moves every figure."""
    for clock in read_device_clocks(place.root):
        if not is_memory(clock.name) or clock.governor in (None, *STEADY_GOVERNORS):
            continue
        now = f" at {clock.frequency_hz / 1e6:.0f}" if clock.frequency_hz else ""
        most = f" of {clock.max_hz / 1e6:.0f} MHz now" if clock.max_hz else ""
        text = f"{clock.name} is under {clock.governor},{now}{most}: the memory's clock moves within measurements"
        remedy = f"echo performance | sudo tee /{DEVFREQ_FOLDER}/{clock.name}/governor"
        yield Finding("memory clock", "warn", text, remedy)


def _throttled(place: Place) -> Iterator[Finding]:
    """Tell what throttles right now, and on a Pi what has since boot; other counters tell of long ago."""
    readings = [probe.read() for probe in find_throttle_probes(place, []) if probe.reason is None]
    now = sorted(flag for reading in readings for flag in reading.flags)
    counters = [item for reading in readings for item in reading.counters.items()]
    before = [name for name, count in counters if count and name.endswith(SINCE_BOOT)]
    if now or before:
        text = "; ".join([*(f"{flag} now" for flag in now), *before])
        remedy = "undervoltage: a stronger supply and a shorter cable; otherwise cooling: heat sink, fan, open case"
        yield Finding("throttled", "warn", f"the board is or was throttled: {text}", remedy)


def _power_mode(place: Place) -> Iterator[Finding]:
    mode = read_power_mode(place.root) or ask_power_mode(place)
    if mode in _SLOW_MODES:
        text = f"the platform profile is {mode}: clocks are held down"
        remedy = "echo performance | sudo tee /sys/firmware/acpi/platform_profile"
        yield Finding("power mode", "warn", text, remedy)
    elif mode is not None:
        yield Finding("power mode", "ok", f"{mode}: figures belong to this mode")


def kernel_findings(place: Place) -> Iterator[Finding]:
    """Look at how the kernel shares out CPUs and memory."""
    yield _pressure(place)
    yield from _quota(place)
    yield from _steal(place)
    yield from _siblings(place)
    yield from _isolation(place)
    yield from _swap(place)
    yield from _huge_pages(place)


def _pressure(place: Place) -> Finding:
    if read_pressure_seconds(place.root) is not None:
        return Finding("pressure", "ok", "/proc/pressure tells when tasks wait for a CPU")
    remedy = "boot with psi=1; a container needs a kernel and a runtime that show /proc/pressure"
    return Finding("pressure", "warn", "no /proc/pressure/cpu: stalls by others cannot be seen", remedy)


def _quota(place: Place) -> Iterator[Finding]:
    folders = quota_folders(place.root)
    quota = read_quota(folders) if folders else None
    online = len(read_cpu_times(place.root))
    if quota is None or (online and quota.cpus >= online):
        return
    text = (
        f"a CPU quota of {quota.cpus:g} CPUs ({quota.group}) stops workers in the middle of an inference: "
        "what is measured is the quota"
    )
    remedy = (
        "give whole cores instead: docker run --cpuset-cpus in place of --cpus, AllowedCPUs= in place of "
        "CPUQuota=, no CPU limit in Kubernetes"
    )
    yield Finding("quota", "fail", text, remedy)


def _steal(place: Place) -> Iterator[Finding]:
    times = read_cpu_times(place.root).values()
    steal = sum(each.steal or 0.0 for each in times)
    wanted = steal + sum(each.busy for each in times)
    if wanted and steal / wanted > STEAL_SINCE_BOOT_BOUND:
        text = f"the hypervisor kept {steal / wanted:.1%} of the CPU time that was asked for since boot"
        remedy = "a machine with CPUs of its own; windows with more than 2 % are void"
        yield Finding("steal", "warn", text, remedy)


def _siblings(place: Place) -> Iterator[Finding]:
    if read_int(place.path(CPU_FOLDER, "smt/active")) == 1:
        text = "two hardware threads share each core: all of them are not twice the cores"
        yield Finding("smt", "info", text, f"echo off | sudo tee /{CPU_FOLDER}/smt/control")


def _isolation(place: Place) -> Iterator[Finding]:
    file = place.path(CPU_FOLDER, "isolated")
    if file.is_file() and not read_text(file):
        remedy = "for the finest measurements boot with isolcpus=LIST nohz_full=LIST and measure on LIST"
        yield Finding("isolation", "info", "no CPU is kept free of other programs", remedy)


def _swap(place: Place) -> Iterator[Finding]:
    swap = (read_text(place.path("proc/swaps")) or "").splitlines()[1:]
    if swap and read_swapped_pages(place.root) is not None:
        devices = ", ".join(line.split()[0] for line in swap)
        text = f"swap is on ({devices}): a model that does not fit will crawl"
        yield Finding("swap", "warn", text, "sudo swapoff -a")


def _huge_pages(place: Place) -> Iterator[Finding]:
    folder = "sys/kernel/mm/transparent_hugepage"
    if "[always]" in (read_text(place.path(folder, "enabled")) or ""):
        text = "transparent huge pages are given to every program: memory is moved together while it runs"
        yield Finding("huge pages", "info", text, f"echo madvise | sudo tee /{folder}/enabled")
