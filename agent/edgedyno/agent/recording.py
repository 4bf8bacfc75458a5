"""See that a recording gives the same capabilities as the board it was taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.core.board import Host

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.board import Capabilities, PowerSource

FACTS = ("profile", "name", "arch", "memory_bytes", "throttle", "kernel", "os")
HOST_FACTS = (
    *("compatible", "cores", "caches", "nodes", "governors", "clock_limits_hz", "power_mode", "container"),
    *("virtual_machine", "limits", "differs"),
)


def compare_recording(root: Path, folder: Path) -> list[str]:
    """Return the facts in which the recording in `folder` differs from the board at `root`.

    What moves from second to second (watts, clocks) is not compared, nor what only a live machine has: runtimes,
    and the CPUs that this process may not use.
    """
    live = read_capabilities(root=root, probe_runtimes=False)
    recorded = read_capabilities(root=folder, probe_runtimes=False)
    pairs = {name: (getattr(live, name), getattr(recorded, name)) for name in FACTS}
    pairs["cpu"] = (_cpu(live), _cpu(recorded))
    pairs["core_sets"] = (_sets(live, live), _sets(recorded, live))
    pairs["power"] = (_power(live.power), _power(recorded.power))
    for name in HOST_FACTS:
        pairs[name] = (getattr(live.host or Host(), name), getattr(recorded.host or Host(), name))
    return [
        f"{name}: the board has {had}, the recording {has}"
        for name, (had, has) in pairs.items()
        if had != has
    ]


def _cpu(capabilities: Capabilities) -> object:
    cpu = capabilities.cpu
    return cpu.clusters, cpu.features, cpu.offline


def _sets(capabilities: Capabilities, live: Capabilities) -> dict[str, list[int]]:
    barred = set(live.cpu.barred)
    return {name: [cpu for cpu in cpus if cpu not in barred] for name, cpus in capabilities.core_sets.items()}


def _power(sources: list[PowerSource]) -> list[tuple[str, str, bool, list[str]]]:
    return [(each.source, each.scope, each.available, each.rails) for each in sources]
