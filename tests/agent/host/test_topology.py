"""Topologies that no recorded board has: offline cores, no capacities, x86 hybrids, a clock for each core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.coresets import core_set
from edgedyno.agent.host.cpuinfo import read_cpuinfo
from edgedyno.agent.host.features import common_features
from edgedyno.agent.host.topology import read_topology
from edgedyno.core.errors import ConfigError
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

CPU = "rootfs/sys/devices/system/cpu"


def test_offline_cpus_are_in_no_set(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    write(tree / CPU / "online", "0-3,6-7\n")
    found = read_capabilities(root=tree)
    assert found.core_sets["all"] == [0, 1, 2, 3, 6, 7]
    assert found.core_sets["big"] == [6, 7]
    assert [cluster.cpus for cluster in found.cpu.clusters] == [[0, 1, 2, 3], [6, 7]]


def test_big_and_little_without_capacities(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    for cpu in range(8):
        (tree / CPU / f"cpu{cpu}/cpu_capacity").unlink()
    found = read_capabilities(root=tree)
    assert found.core_sets["big"] == [4, 5, 6, 7]


def test_bins_of_one_core_are_not_big_and_little(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    for cpu in range(6):
        write(tree / CPU / f"cpu{cpu}/cpu_capacity", "1024" if cpu < 4 else "940")
    assert "big" not in read_capabilities(root=tree).core_sets


def test_no_cpufreq_and_no_clusters_is_one_cluster(tmp_path: Path) -> None:
    for cpu in range(4):
        write(tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", "8442")
    write(tmp_path / "sys/devices/system/cpu/online", "0-3")
    topology = read_topology(tmp_path, read_cpuinfo(tmp_path))
    assert topology.clusters == [[0, 1, 2, 3]]
    assert (topology.big, topology.nodes, topology.policies) == ([], {}, [])


def test_x86_hybrid(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / "rootfs/sys/devices/cpu_core/cpus", "0-1")
    write(tree / "rootfs/sys/devices/cpu_atom/cpus", "2-3")
    found = read_capabilities(root=tree)
    assert (found.core_sets["big"], found.core_sets["little"]) == ([0, 1], [2, 3])
    assert [cluster.cpus for cluster in found.cpu.clusters] == [[0, 1], [2, 3]]


def test_favoured_x86_cores_are_not_big(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / CPU / "cpufreq/policy3/cpuinfo_max_freq", "5400000")
    assert "big" not in read_capabilities(root=tree).core_sets


def test_an_empty_tree_gives_no_exception(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    found = read_capabilities(root=tmp_path)
    assert (found.profile, found.memory_bytes, found.kernel, found.arch) == (
        "generic",
        None,
        "unknown",
        "unknown",
    )
    assert found.core_sets["all"] == []


def test_garbage_everywhere_gives_no_exception(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    for path in tree.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xff\x00-1 garbage : \n")
    found = read_capabilities(root=tree)
    assert not any(source.available for source in found.power)


def test_a_feature_needs_every_cpu() -> None:
    assert common_features([{"asimd", "asimddp", "asimdhp", "fphp"}, {"asimd", "asimdhp"}]) == ["neon"]
    assert common_features([]) == []


def test_features_of_servers() -> None:
    words = [
        "avx2",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "amx_tile",
        "amx_int8",
        "amx_bf16",
        "avx512_fp16",
    ]
    assert common_features([words]) == [
        "avx2",
        "avx512",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_int8",
        "amx_bf16",
    ]


@pytest.mark.parametrize(
    ("name", "cpus"), [("big", [4, 5, 6, 7]), ("0-3", [0, 1, 2, 3]), ("cluster2", [6, 7]), ("4,6", [4, 6])]
)
def test_core_set(name: str, cpus: list[int]) -> None:
    assert core_set(name, read_capabilities(root=board("rock-5b"))) == cpus


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bigg", "did you mean 'big'"),
        ("cluster9", "expected one of all, big, little, cluster0"),
        ("0-8", "names CPU 8, this board has 0-7"),
        ("", "found no core set ''"),
        ("3-1", "found no core set '3-1'"),
    ],
)
def test_core_set_that_is_not_there(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        core_set(name, read_capabilities(root=board("rock-5b")))
    assert caught.value.code == ("cores.missing" if name == "0-8" else "cores.unknown")


def test_nodes_without_memory(tmp_path: Path) -> None:
    found = read_capabilities(root=copy_board("kunpeng920-2s", tmp_path, variant="sparse-memory"))
    assert found.memory_bytes == (15833088 + 15413248) * 1024
    assert found.core_sets["node0"] == list(range(32))
