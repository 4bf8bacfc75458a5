"""Named sets of cores: all, big, little, cluster0…, node0…, and lists such as `0-3`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.host.cpulist import format_cpu_list, parse_cpu_list
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from edgedyno.agent.host.topology import Topology
    from edgedyno.core.board import Capabilities


def core_sets(topology: Topology) -> dict[str, list[int]]:
    """Return the sets that a topology gives rise to. `big` and `little` exist only where sizes differ."""
    sets = {"all": topology.online}
    if topology.big:
        sets |= {"big": topology.big, "little": topology.little}
    sets |= {f"cluster{index}": cpus for index, cpus in enumerate(topology.clusters)}
    sets |= {f"node{node}": cpus for node, cpus in sorted(topology.nodes.items())}
    return sets


def core_set(name: str, capabilities: Capabilities) -> list[int]:
    """Return the CPUs that `name` means on a board: a set's name, or a list such as `0-3,6`.

    Raises ConfigError (code `cores.unknown`) naming the nearest set, or the CPUs that the board has.
    """
    if name in capabilities.core_sets:
        return list(capabilities.core_sets[name])
    known = ", ".join(capabilities.core_sets)
    cpus = parse_cpu_list(name)
    if cpus is None:
        raise ConfigError(
            f"found the core set {name!r}, expected one of {known}, or CPUs such as '0-3'"
            f"{nearest(name, capabilities.core_sets)}",
            code="cores.unknown",
        )
    online = capabilities.core_sets["all"]
    if absent := sorted(set(cpus) - set(online)):
        raise ConfigError(
            f"found the cores {name!r}, but this board has no online CPU {format_cpu_list(absent)}; "
            f"expected CPUs out of {format_cpu_list(online)}, or one of {known}",
            code="cores.unknown",
        )
    return cpus
