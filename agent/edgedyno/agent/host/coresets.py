"""Named sets of cores: all, big, little, cluster0…, node0…, and lists such as `0-3`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.cpulist import format_cpu_list, parse_cpu_list
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgedyno.agent.host.topology import Topology
    from edgedyno.core.board import Capabilities


def core_sets(topology: Topology, barred: Collection[int] = ()) -> dict[str, list[int]]:
    """Return the sets that a topology gives rise to, without the CPUs in `barred`.

    `big` and `little` exist only where sizes differ. A set that has only barred CPUs is there, and empty.
    """
    sets = {"all": topology.online}
    if topology.big:
        sets |= {"big": topology.big, "little": topology.little}
    sets |= {f"cluster{index}": cpus for index, cpus in enumerate(topology.clusters)}
    sets |= {f"node{node}": cpus for node, cpus in sorted(topology.nodes.items())}
    return {name: [cpu for cpu in cpus if cpu not in barred] for name, cpus in sets.items()}


def barred_cpus(online: Collection[int]) -> list[int]:
    """Return the CPUs of this machine that this process may not use: its affinity mask, which its cgroup narrows."""
    return sorted(set(online) - os.sched_getaffinity(0))


def core_set(name: str, capabilities: Capabilities) -> list[int]:
    """Return the CPUs that `name` means on a board: a set's name, or a list such as `0-3,6`.

    Raises ConfigError that names the nearest set or the CPUs that the board has: code `cores.unknown`,
    `cores.missing`, `cores.offline` or `cores.barred`.
    """
    known = ", ".join(capabilities.core_sets)
    cpus = capabilities.core_sets.get(name) if name in capabilities.core_sets else parse_cpu_list(name)
    if cpus is None:
        raise ConfigError(
            f"found no core set {name!r}, expected one of {known}, or CPUs such as '0-3'"
            f"{nearest(name, capabilities.core_sets)}",
            code="cores.unknown",
        )
    if not cpus:
        raise ConfigError(
            _barred(name, "has no CPU that the agent may use", capabilities), code="cores.barred"
        )
    _check_each(name, cpus, capabilities)
    return list(cpus)


def memory_node(cpus: Collection[int], capabilities: Capabilities) -> int | None:
    """Return the memory node that holds all of `cpus`; None where they span nodes, or there is only one."""
    nodes = {
        int(name[4:]): set(members)
        for name, members in capabilities.core_sets.items()
        if re.fullmatch(r"node\d+", name)
    }
    if len(nodes) < 2:  # noqa: PLR2004 - with one node there is nothing to choose
        return None
    return next((node for node, members in nodes.items() if set(cpus) <= members), None)


def _check_each(name: str, cpus: Collection[int], capabilities: Capabilities) -> None:
    """See that every CPU of a list can be used."""
    usable = set(capabilities.core_sets["all"]) if "all" in capabilities.core_sets else set(cpus)
    wrong = set(cpus) - usable
    if offline := sorted(wrong & set(capabilities.cpu.offline)):
        raise ConfigError(
            f"core set {name!r} names CPU {format_cpu_list(offline)}, which is offline; expected CPUs out of "
            f"{format_cpu_list(usable)}, or bring it online: "
            f"echo 1 | sudo tee /sys/devices/system/cpu/cpu{offline[0]}/online",
            code="cores.offline",
        )
    if barred := sorted(wrong & set(capabilities.cpu.barred)):
        what = f"names CPU {format_cpu_list(barred)}, which the agent may not use"
        raise ConfigError(_barred(name, what, capabilities), code="cores.barred")
    if wrong:
        raise ConfigError(
            f"core set {name!r} names CPU {format_cpu_list(wrong)}, this board has {format_cpu_list(usable)}",
            code="cores.missing",
        )


def _barred(name: str, what: str, capabilities: Capabilities) -> str:
    usable = format_cpu_list(capabilities.core_sets["all"]) or "none"
    return (
        f"core set {name!r} {what}; expected CPUs out of {usable}, which is what the "
        "agent's affinity mask and cgroup (cpuset.cpus.effective) leave it"
    )
