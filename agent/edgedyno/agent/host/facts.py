"""Further facts about a board, for `caps` and for comparing boards of one type. Reads each file once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.caches import read_caches
from edgedyno.agent.host.cores import core_name
from edgedyno.agent.host.cpulist import format_cpu_list
from edgedyno.agent.host.devices import read_device_clocks
from edgedyno.agent.host.expectations import differences
from edgedyno.agent.host.powermode import ask_power_mode, read_power_mode
from edgedyno.agent.host.quota import quota_folders, read_memory_limit, read_quota
from edgedyno.agent.host.read import entries, read_float, read_int, read_text
from edgedyno.agent.host.system import read_container, read_memory_bytes, read_virtual_machine
from edgedyno.agent.host.topology import CPU_FOLDER, MEMORY_TOTAL, NODE_FOLDER
from edgedyno.core.board import CoreKind, Host, Limits, MemoryNode

if TYPE_CHECKING:
    from edgedyno.agent.host.board import Board
    from edgedyno.agent.host.place import Place


def read_facts(place: Place, board: Board) -> Host:
    """Return everything that is known of the machine beside its core sets and sensors."""
    root = place.root
    folder = root / CPU_FOLDER / "cpufreq"
    names = [policy.name for policy in board.topology.policies]
    governors = {name: read_text(folder / name / "scaling_governor") for name in names}
    limits = {name: read_float(folder / name / "scaling_max_freq") for name in names}
    return Host(
        compatible=board.identity.compatible,
        cores=_cores(place, board),
        caches=read_caches(root, board.topology.online),
        nodes=_nodes(place, board),
        governors={name: governor for name, governor in governors.items() if governor},
        clock_limits_hz={name: khz * 1000 for name, khz in limits.items() if khz},
        device_clocks=read_device_clocks(root),
        power_mode=read_power_mode(root) or ask_power_mode(place),
        container=read_container(root),
        virtual_machine=read_virtual_machine(root, board.info),
        limits=_limits(place),
        differs=differences(board, read_memory_bytes(root)),
    )


def _cores(place: Place, board: Board) -> list[CoreKind]:
    kinds: dict[tuple[tuple[int, int] | None, str | None, int | None], list[int]] = {}
    for cpu in board.topology.online:
        part, revision = board.info.parts.get(cpu), board.info.revisions.get(cpu)
        capacity = read_int(place.path(CPU_FOLDER, f"cpu{cpu}", "cpu_capacity"))
        kinds.setdefault((part, revision, capacity), []).append(cpu)
    return [
        CoreKind(
            cpus=format_cpu_list(cpus),
            part=f"{part[0]:#04x}/{part[1]:#05x}" if part else None,
            name=core_name(part) or (None if part else board.info.model_name),
            revision=revision,
            capacity=capacity,
        )
        for (part, revision, capacity), cpus in kinds.items()
    ]


def _nodes(place: Place, board: Board) -> list[MemoryNode]:
    nodes = []
    for name in entries(place.path(NODE_FOLDER)):
        if not re.fullmatch(r"node\d+", name):
            continue
        folder = place.path(NODE_FOLDER, name)
        total = MEMORY_TOTAL.search(read_text(folder / "meminfo") or "")
        distances = (read_text(folder / "distance") or "").split()
        nodes.append(
            MemoryNode(
                node=int(name[4:]),
                cpus=format_cpu_list(board.topology.nodes.get(int(name[4:]), [])),
                memory_bytes=int(total[1]) * 1024 if total else None,
                distances=[int(word) for word in distances if word.isdecimal()],
            )
        )
    return nodes


def _limits(place: Place) -> Limits | None:
    """Return the control group's limits; None where it sets none, or cannot be seen."""
    folders = quota_folders(place.root)
    if not folders:
        return None
    quota = read_quota(folders)
    cpuset = next((text for each in folders if (text := read_text(each / "cpuset.cpus.effective"))), None)
    found = Limits(quota.cpus if quota else None, cpuset, read_memory_limit(folders))
    return found if found != Limits() else None
