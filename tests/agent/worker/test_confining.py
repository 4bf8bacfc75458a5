"""Memory on its node, threads that compute, cores that are refused: with the real system calls of this machine."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.worker.computing import count_computing
from edgedyno.agent.worker.numa import anonymous_bytes, strayed_ratio
from edgedyno.agent.worker.process import WorkerError, WorkerProcess
from tests.agent.worker.test_process import SCRIPTED, loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

MS = 1_000_000
ABSENT_NODE = 900  # more than any machine has; MAX_NUMNODES is 1024


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        yield process
        process.close()


def start(worker: WorkerProcess, **arguments: Any) -> dict[str, Any]:
    return worker.ask("start", 20, plugin=SCRIPTED._asdict(), **arguments)


def test_memory_is_bound_to_the_node_and_checked(worker: WorkerProcess) -> None:
    assert start(worker, memory_node=0)["memory_refused"] is None
    assert worker.ask("check", 20)["memory_strayed_ratio"] == 0.0
    anonymous = Path(f"/proc/{worker.pid}/numa_maps").read_text()
    assert " bind:0 " in anonymous


def test_a_node_that_is_not_there_is_refused_with_the_reason_and_the_worker_goes_on(
    worker: WorkerProcess,
) -> None:
    refused = start(worker, memory_node=ABSENT_NODE)["memory_refused"]
    assert refused == f"set_mempolicy of memory node {ABSENT_NODE}: Invalid argument"
    assert worker.ask("check", 20)["memory_strayed_ratio"] == 1.0


def test_without_a_node_nothing_is_bound(worker: WorkerProcess) -> None:
    assert start(worker)["memory_refused"] is None
    assert worker.ask("check", 20)["memory_strayed_ratio"] is None
    assert " bind:" not in Path(f"/proc/{worker.pid}/numa_maps").read_text()


NUMA_MAPS = """\
aaab default file=/usr/bin/python3 mapped=900 mapmax=3 N2=900 kernelpagesize_kB=4
aaac bind:1 heap anon=300 dirty=300 N1=200 N2=100 kernelpagesize_kB=4
aaad bind:1 anon=2 dirty=2 N1=2 kernelpagesize_kB=2048
aaae bind:1 stack anon=1 N3=1 kernelpagesize_kB=64
"""


def test_anonymous_memory_is_counted_by_node(tmp_path: Path) -> None:
    assert anonymous_bytes(NUMA_MAPS) == {1: 200 * 4096 + 2 * (2 << 20), 2: 100 * 4096, 3: 65536}
    maps = tmp_path / "numa_maps"
    maps.write_text(NUMA_MAPS)
    assert strayed_ratio(1, str(maps)) == pytest.approx((409600 + 65536) / (5013504 + 409600 + 65536))
    assert strayed_ratio(1, str(tmp_path / "absent")) is None
    maps.write_text("")
    assert strayed_ratio(1, str(maps)) is None


@pytest.mark.parametrize(
    ("asked", "spent_ms", "computing"),
    [
        (1, [500], 1),
        (4, [500, 120, 118, 121], 4),  # a model of which little is parallel
        (2, [500, 480, 30], 2),  # a timer, a logger
        (2, [240, 240, 60], 2),  # a caller that waits for its pool, in a tiny model
        (4, [500, 6, 5, 5, 4, 4], 1),  # nothing parallel
        (1, [500, 480], 2),
        (2, [300, 290, 280, 285], 4),
        (2, [5, 5, 5], None),
    ],
)
def test_threads_beyond_those_asked_are_counted_and_helpers_are_not(
    asked: int, spent_ms: list[int], computing: int | None
) -> None:
    assert count_computing(asked, [each * MS for each in spent_ms]) == computing


@pytest.mark.parametrize(("crowd", "computing"), [(1, 2), (4, 4)])
def test_a_runtime_that_starts_more_threads_is_seen(
    worker: WorkerProcess, tmp_path: Path, crowd: int, computing: int
) -> None:
    loaded(worker, tmp_path, {"crowd": crowd})  # asks for 2 threads
    worker.ask("burst", 60, count=30)
    found = worker.ask("check", 20)["computing_threads"]
    assert found == computing if crowd > 2 else found <= computing


def test_cores_that_the_kernel_does_not_grant_fail_the_trial(worker: WorkerProcess) -> None:
    mine = min(os.sched_getaffinity(0))
    with pytest.raises(WorkerError, match=r"CPUs \[7000\] of .* went offline or are outside") as raised:
        start(worker, cpus=[mine, 7000])
    assert raised.value.code == "cores.refused"
    with pytest.raises(WorkerError, match=r"found no CPU of \[7000\]") as raised:
        start(worker, cpus=[7000])
    assert raised.value.code == "cores.refused"
