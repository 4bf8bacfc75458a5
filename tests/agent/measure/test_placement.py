"""Where trials run in each round, on recorded boards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.siblings import physical_first
from edgedyno.agent.measure.placement import Placement, move_runner, read_placement, restored_affinity
from edgedyno.agent.measure.planner import Cell
from edgedyno.core.manifest import Variant
from tests.agent.boards import board, write

if TYPE_CHECKING:
    from pathlib import Path


def cell(threads: int, cpus: list[int]) -> Cell:
    return Cell(
        trial="t",
        variant=Variant("fp32", "onnx"),
        runtime="r",
        runtime_version=None,
        environment="default",
        threads=threads,
        cores="set",
        cpus=cpus,
        batch=1,
        scenario="single-stream",
    )


def test_every_cpu_of_a_set_has_its_turn_and_trials_share_it() -> None:
    placement = Placement([[0, 1, 2, 3]], range(4))
    single, double = cell(1, [0, 1, 2, 3]), cell(2, [0, 1, 2, 3])
    assert [placement.cpus(single, turn) for turn in range(5)] == [[0], [1], [2], [3], [0]]
    assert [placement.cpus(double, turn) for turn in range(4)] == [[0, 1], [1, 2], [2, 3], [0, 3]]
    assert placement.cpus(cell(4, [0, 1, 2, 3]), 1) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "cores", "threads", "places"),
    [
        ("rock-5b", "big", 2, [[4, 5], [5, 6]]),
        ("rock-5b", "all", 2, [list(range(8))] * 2),  # unlike cores are left to the kernel
        ("rpi5", "all", 1, [[0], [1]]),
        ("kunpeng920-2s", "node1", 1, [[32], [33]]),
    ],
)
def test_unlike_cores_do_not_take_turns(name: str, cores: str, threads: int, places: list[list[int]]) -> None:
    root = board(name)
    found = read_capabilities(root=root, probe_runtimes=False)
    placement = read_placement(found, root / "rootfs")
    one = cell(threads, found.core_sets[cores])
    assert [placement.cpus(one, turn) for turn in range(2)] == places


def test_second_threads_of_a_core_come_last(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        path = f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        write(tmp_path / path, siblings)
    assert physical_first(tmp_path, range(4)) == [0, 1, 2, 3]
    write(tmp_path / "sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1")
    write(tmp_path / "sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1")
    assert physical_first(tmp_path, [0, 1, 9]) == [0, 9, 1]


def test_runner_keeps_off_the_cpus_of_the_trials() -> None:
    placement = Placement([[0, 1, 2, 3]], range(4))
    assert placement.spare([cell(2, [0, 1]), cell(2, [0, 1])], 0) == {2, 3}
    both = [cell(4, [0, 1, 2, 3]), cell(1, [0, 1, 2, 3])]
    assert placement.spare(both, 2) == {0, 1, 3}  # at least off the smallest trial's
    assert placement.spare([cell(4, [0, 1, 2, 3])], 0) == set()


def test_runner_moves_only_where_it_may_be() -> None:
    before = os.sched_getaffinity(0)
    with restored_affinity():
        move_runner({max(before)})
        assert os.sched_getaffinity(0) == {max(before)}
        move_runner({4095})
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before
