"""CPU topology from /sys: what is online, who shares a clock, a cluster or a memory node, and who is big.

Physical ids are arbitrary numbers (36 and 8442 on a real Kunpeng): they are compared, never counted.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.cores import CORES, core_name
from edgedyno.agent.host.read import entries, read_cpu_list, read_float, read_int, read_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from pathlib import Path

    from edgedyno.agent.host.cpuinfo import CpuInfo

CPU_FOLDER = "sys/devices/system/cpu"
NODE_FOLDER = "sys/devices/system/node"
MEMORY_TOTAL = re.compile(r"MemTotal:\s+(\d+) kB")
# Capacities that differ by less are one kind: bins of one core (RK3588: 2208 to 2400 MHz) and favoured cores.
BIG_LITTLE_RATIO = 1.25


class Policy(Struct, frozen=True):
    """A cpufreq policy: CPUs that share a clock."""

    name: str
    cpus: list[int]
    max_hz: float | None


class Topology(Struct, frozen=True):
    """How the online CPUs hang together. Every list of CPUs is ascending and holds online CPUs only."""

    online: list[int]
    offline: list[int]
    policies: list[Policy]
    clock_groups: list[list[int]]
    """CPUs of one kind that share a clock."""
    clusters: list[list[int]]
    """CPUs that share a cluster (a cache or a bus port); the clock groups where /sys has no clusters."""
    nodes: dict[int, list[int]]
    empty_nodes: list[int]
    """Nodes that have CPUs and no memory."""
    big: list[int]
    little: list[int]
    """Empty, as `big` is, where all cores are of one size."""
    cores: dict[int, str | None]


def read_topology(root: Path, info: CpuInfo) -> Topology:
    """Read the topology; where /sys says nothing, the CPUs of /proc/cpuinfo are one cluster."""
    online, offline = _online(root, info)
    policies = read_policies(root, online)
    cores = {cpu: core_name(info.parts.get(cpu)) for cpu in online}
    groups = _clock_groups(root, online, policies, info)
    big, little = _split(_sizes(root, online, policies, info))
    nodes = _nodes(root, online)
    return Topology(
        online=online,
        offline=offline,
        policies=policies,
        clock_groups=groups,
        clusters=_clusters(root, online) or groups,
        nodes=nodes,
        empty_nodes=[node for node in nodes if _has_no_memory(root, node)],
        big=big,
        little=little,
        cores=cores,
    )


def _online(root: Path, info: CpuInfo) -> tuple[list[int], list[int]]:
    folder = root / CPU_FOLDER
    present = read_cpu_list(folder / "present") or sorted(info.words)
    online = read_cpu_list(folder / "online") or [
        cpu for cpu in present if read_int(folder / f"cpu{cpu}/online") != 0
    ]
    return online, sorted(set(present) - set(online))


def read_policies(root: Path, online: Iterable[int]) -> list[Policy]:
    """Return the cpufreq policies that have online CPUs; empty where cpufreq is absent."""
    policies = []
    folder = root / CPU_FOLDER / "cpufreq"
    known = set(online)
    for name in entries(folder):
        if name.startswith("policy"):
            cpus = read_cpu_list(folder / name / "related_cpus") or []
            khz = read_float(folder / name / "cpuinfo_max_freq")
            if here := [cpu for cpu in cpus if cpu in known]:
                policies.append(Policy(name, here, khz * 1000 if khz else None))
    return policies


def _clock_groups(root: Path, online: list[int], policies: list[Policy], info: CpuInfo) -> list[list[int]]:
    """Group by policy and core; where every CPU has a clock of its own, by core and size alone."""
    shared = {cpu: policy.name for policy in policies for cpu in policy.cpus}
    if all(len(policy.cpus) == 1 for policy in policies):
        shared = {}
    hybrid = _hybrid_kinds(root)

    def kind(cpu: int) -> Hashable:
        return (shared.get(cpu), info.parts.get(cpu), hybrid.get(cpu), _capacity(root, cpu))

    return _grouped({cpu: kind(cpu) for cpu in online})


def read_siblings(root: Path, cpus: Iterable[int]) -> list[int]:
    """Return the other hardware threads of the cores that `cpus` are threads of."""
    own = set(cpus)
    shared: set[int] = set()
    for cpu in own:
        folder = root / CPU_FOLDER / f"cpu{cpu}/topology"
        shared.update(read_cpu_list(folder / "thread_siblings_list") or [])
    return sorted(shared - own)


def has_boost(root: Path) -> bool:
    """Tell whether clocks may rise above what the cores can hold together: Intel's Turbo, AMD's and ARM's boost."""
    folder = root / CPU_FOLDER
    return read_int(folder / "intel_pstate/no_turbo") == 0 or read_int(folder / "cpufreq/boost") == 1


def _capacity(root: Path, cpu: int) -> int | None:
    return read_int(root / CPU_FOLDER / f"cpu{cpu}/cpu_capacity")


def _hybrid_kinds(root: Path) -> dict[int, str]:
    """Tell performance and efficiency cores of an x86 hybrid apart by the kernel's two PMU devices."""
    kinds = {}
    for kind in ("cpu_core", "cpu_atom"):
        for cpu in read_cpu_list(root / "sys/devices" / kind / "cpus") or []:
            kinds[cpu] = kind
    return kinds if len(set(kinds.values())) > 1 else {}


def _grouped(keys: Mapping[int, Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for cpu, key in keys.items():
        groups.setdefault(key, []).append(cpu)
    return sorted(groups.values())


def _clusters(root: Path, online: list[int]) -> list[list[int]]:
    known = set(online)
    clusters: dict[tuple[int, ...], None] = {}
    for cpu in online:
        shared = read_cpu_list(root / CPU_FOLDER / f"cpu{cpu}/topology/cluster_cpus_list")
        if shared is None or cpu not in shared:
            return []
        clusters[tuple(other for other in shared if other in known)] = None
    # A kernel without cluster information repeats each CPU alone.
    if all(len(cluster) == 1 for cluster in clusters):
        return []
    return sorted(list(cluster) for cluster in clusters)


def _nodes(root: Path, online: list[int]) -> dict[int, list[int]]:
    known = set(online)
    nodes = {}
    for name in entries(root / NODE_FOLDER):
        if name.startswith("node") and name[4:].isdecimal():
            cpus = read_cpu_list(root / NODE_FOLDER / name / "cpulist") or []
            if here := [cpu for cpu in cpus if cpu in known]:
                nodes[int(name[4:])] = here
    return nodes


def _has_no_memory(root: Path, node: int) -> bool:
    """Tell whether a node is known to be without memory."""
    total = MEMORY_TOTAL.search(read_text(root / NODE_FOLDER / f"node{node}/meminfo") or "")
    return total is not None and int(total[1]) == 0


def _sizes(root: Path, online: list[int], policies: list[Policy], info: CpuInfo) -> dict[int, float]:
    """How much each CPU can do: the kernel's capacity, else its kind or clock. Empty where unknown."""
    capacities = {cpu: _capacity(root, cpu) for cpu in online}
    if all(capacities.values()):
        return {cpu: float(size) for cpu, size in capacities.items() if size}
    hybrid = _hybrid_kinds(root)
    if hybrid:
        return {cpu: 2.0 if hybrid.get(cpu) == "cpu_core" else 1.0 for cpu in online}
    clocks = {cpu: policy.max_hz for policy in policies for cpu in policy.cpus if policy.max_hz}
    if info.vendor is not None or set(clocks) != set(online):
        return {}  # x86 cores of one kind differ in their highest turbo clock only.
    rates = {cpu: CORES[part].fp32_per_clock for cpu, part in info.parts.items() if part in CORES}
    known = all(rates.get(cpu) for cpu in online)
    return {cpu: hz * (rates[cpu] if known else 1.0) for cpu, hz in clocks.items()}


def _split(sizes: Mapping[int, float]) -> tuple[list[int], list[int]]:
    """Split at the widest gap between sizes, if it is wide enough to be another kind of core."""
    steps = sorted(set(sizes.values()))
    gaps = [(large / small, large) for small, large in pairwise(steps)]
    ratio, smallest_big = max(gaps, default=(1.0, 0.0))
    if ratio < BIG_LITTLE_RATIO:
        return [], []
    big = sorted(cpu for cpu, size in sizes.items() if size >= smallest_big)
    return big, sorted(set(sizes) - set(big))
