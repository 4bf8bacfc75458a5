"""Hold what was found against what the board's profile says. What was found always counts; the rest is named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.cpulist import format_cpu_list, parse_cpu_list
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.host.board import Board
    from edgedyno.agent.host.profile import ExpectedCluster

# Bins and steppings of one board type differ by a few per cent (RK3588: 2208 to 2400 MHz is 8 %).
CLOCK_TOLERANCE = 0.1
_MEGABYTES = re.compile(r"\b(\d+) ?(MB|GB)\b")
MEMORY_LEAST = 0.6  # firmware and GPU take their part before the kernel counts: 64 to 256 MB on a Pi


def differences(board: Board, memory_bytes: int | None) -> list[str]:
    """Return what the profile expects and the board does not show, each as a sentence."""
    return [
        *_clusters(board),
        *_features(board),
        *_memory(board.profile.expect.memory, memory_bytes),
        *_nodes(board),
    ]


def _clusters(board: Board) -> Iterator[str]:
    expected = board.profile.expect.clusters
    wanted = {cpu for cluster in expected for cpu in parse_cpu_list(cluster.cpus) or []}
    present = {*board.topology.online, *board.topology.offline}
    counts = board.profile.expect.cpu_counts
    if counts and len(present) not in counts:
        known = ", ".join(map(str, counts))
        yield f"{board.profile.id} has {known} CPUs, depending on the model, found {len(present)}"
    elif wanted and not counts and wanted != present:
        yield (
            f"{board.profile.id} has CPUs {format_cpu_list(wanted)}, found {format_cpu_list(present) or 'none'}"
        )
    if board.topology.offline:
        yield f"CPUs {format_cpu_list(board.topology.offline)} are offline"
    for cluster in expected:
        yield from _cluster(board, cluster)


def _cluster(board: Board, cluster: ExpectedCluster) -> Iterator[str]:
    cpus = [cpu for cpu in parse_cpu_list(cluster.cpus) or [] if cpu in board.topology.cores]
    found = {board.topology.cores[cpu] or "unknown cores" for cpu in cpus if cpu in board.info.parts}
    if found and found != {cluster.core}:
        yield f"CPUs {cluster.cpus} should be {cluster.core}, found {', '.join(sorted(found))}"
    clocks = {
        policy.max_hz for policy in board.topology.policies if policy.max_hz and set(policy.cpus) & set(cpus)
    }
    if cluster.max_mhz and clocks and abs(max(clocks) / 1e6 / cluster.max_mhz - 1) > CLOCK_TOLERANCE:
        yield (
            f"CPUs {cluster.cpus} should reach {cluster.max_mhz:g} MHz, the kernel says {max(clocks) / 1e6:g} MHz"
        )


def _features(board: Board) -> Iterator[str]:
    missing = sorted(set(board.profile.expect.features) - set(board.features()))
    if missing:
        yield f"{board.profile.id} should have {', '.join(missing)}, which the kernel does not list"


def _memory(expected: str | None, found: int | None) -> Iterator[str]:
    """Compare sizes only where the profile states one: most boards are sold with several."""
    match = _MEGABYTES.search(expected or "")
    if match is None or found is None:
        return
    wanted = int(match[1]) * (1 << 20 if match[2] == "MB" else 1 << 30)
    if not MEMORY_LEAST * wanted <= found <= wanted:
        yield f"memory should be {match[0]}, the kernel has {format_bytes(found)}"


def _nodes(board: Board) -> Iterator[str]:
    empty = board.topology.empty_nodes
    if empty:
        names = ", ".join(map(str, empty))
        yield f"memory nodes {names} have no memory: their cores fetch everything from other nodes"
