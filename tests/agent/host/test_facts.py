"""Caches, nodes, revisions, device clocks, limits, and what differs from the profile.

The values were worked out by hand from the recorded trees' files.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.doctor import examine
from edgedyno.agent.host.devices import is_memory
from edgedyno.core.board import Cache, CoreKind, DeviceClock, Host, Limits, MemoryNode
from tests.agent.boards import BOARDS, board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

CPU = "rootfs/sys/devices/system/cpu"


def host(tree: Path) -> Host:
    found = read_capabilities(root=tree).host
    assert found is not None
    return found


# Variant and revision: MIDR_EL1 in /sys, or `CPU variant` and `CPU revision` of /proc/cpuinfo.
CORES = {
    "jetson-agx-orin": [CoreKind("0-11", "0x41/0xd42", "cortex-a78ae", "r0p1")],
    "jetson-nano": [CoreKind("0-3", "0x41/0xd07", "cortex-a57", "r1p1")],
    "jetson-orin-nano": [CoreKind("0-5", "0x41/0xd42", "cortex-a78ae", "r0p1")],
    "kunpeng920-2s": [CoreKind("0-127", "0x48/0xd01", "tsv110", "r1p0", 1024)],
    "rpi-zero2w-32bit": [CoreKind("0-3", "0x41/0xd03", "cortex-a53", "r0p4")],
    "rpi4b": [CoreKind("0-3", "0x41/0xd08", "cortex-a72", "r0p3")],
    "rpi5": [CoreKind("0-3", "0x41/0xd0b", "cortex-a76", "r4p1")],
    "vm-arm64-altra": [CoreKind("0-1", "0x41/0xd0c", "neoverse-n1", "r3p1")],
    "vm-bare": [CoreKind("0-1", None, "AMD EPYC")],
    "x86-rapl": [CoreKind("0-3", None, "Intel(R) N100")],
}
for _name in ("orangepi5", "rock-5b"):
    CORES[_name] = [
        CoreKind("0-3", "0x41/0xd05", "cortex-a55", "r2p0", 398),
        CoreKind("4-7", "0x41/0xd0b", "cortex-a76", "r4p0", 1024),
    ]


@pytest.mark.parametrize("name", sorted(CORES))
def test_cores_and_no_trouble(name: str) -> None:
    found = host(board(name))
    assert found.cores == CORES[name]
    assert found.problems == []
    assert found.differs == []


def test_every_recorded_board_has_its_cores_here() -> None:
    assert {path.name for path in BOARDS.iterdir() if path.is_dir()} == set(CORES)


def test_caches_and_nodes_of_a_kunpeng() -> None:
    found = host(board("kunpeng920-2s"))
    assert found.caches == [
        Cache(1, "data", 64 << 10, 1),
        Cache(1, "instruction", 64 << 10, 1),
        Cache(2, "unified", 512 << 10, 1),
        Cache(3, "unified", 32 << 20, 32),
    ]
    assert found.nodes[2] == MemoryNode(2, "64-95", 132117936 * 1024, [32, 25, 10, 16])
    assert found.governors == dict.fromkeys(("policy0", "policy32", "policy64", "policy96"), "performance")


def test_device_clocks_of_an_rk3588() -> None:
    found = host(board("rock-5b"))
    assert found.device_clocks[0] == DeviceClock("dmc", "dmc_ondemand", 528e6, 528e6, 2112e6)
    assert [clock.name for clock in found.device_clocks] == ["dmc", "fb000000.gpu", "fdab0000.npu"]


@pytest.mark.parametrize(
    ("name", "memory"),
    [("dmc", True), ("31b0000.emc", True), ("ddr4", True), ("fb000000.gpu", False), ("fdab0000.npu", False)],
)
def test_which_device_is_the_memory(name: str, memory: bool) -> None:
    assert is_memory(name) is memory


def test_power_modes() -> None:
    assert host(board("jetson-orin-nano")).power_mode == "MAXN_SUPER"
    assert host(board("jetson-nano")).power_mode == "MAXN"  # nvpmodel -q: this tree has no status file
    assert host(board("rpi5")).power_mode is None


def test_limits_of_a_control_group(tmp_path: Path) -> None:
    tree = copy_board("vm-bare", tmp_path)
    group = "rootfs/sys/fs/cgroup"
    write(tree / "rootfs/proc/self/cgroup", "0::/\n")
    write(tree / group / "cgroup.controllers", "cpu memory")
    for name, text in {
        "cpu.stat": "usage_usec 1",
        "cpu.max": "150000 100000",
        "memory.max": "536870912",
    }.items():
        write(tree / group / name, text)
    write(tree / group / "cpuset.cpus.effective", "0")
    assert host(tree).limits == Limits(1.5, "0", 512 << 20)
    write(tree / group / "cpu.max", "max 100000")
    write(tree / group / "memory.max", "max")
    (tree / group / "cpuset.cpus.effective").unlink()
    assert host(tree).limits is None


def test_a_server_with_nodes_without_memory(tmp_path: Path) -> None:
    """The variant has 20 and 12 22 as distances and MemTotal 0 at the nodes 0 and 2."""
    tree = copy_board("kunpeng920-2s", tmp_path, variant="sparse-memory")
    found = host(tree)
    sizes = {node.node: node.memory_bytes for node in found.nodes}
    assert (sizes[0], sizes[2]) == (0, 0)
    assert found.differs == [
        "memory nodes 0, 2 have no memory: their cores fetch everything from other nodes"
    ]
    named = {finding.name: finding for finding in examine(tree)}
    assert named["memory nodes"].status == "warn"
    assert "measure on nodes that have some" in (named["memory nodes"].remedy or "")


@pytest.mark.parametrize(
    ("name", "file", "text", "told"),
    [
        ("rock-5b", f"{CPU}/online", "0-5", "CPUs 6-7 are offline"),
        ("rpi5", f"{CPU}/present", "0-1", "rpi5 has CPUs 0-3, found 0-1"),
        (
            "rpi4b",
            f"{CPU}/cpufreq/policy0/cpuinfo_max_freq",
            "1500000",
            "CPUs 0-3 should reach 1800 MHz, the kernel says 1500 MHz",
        ),
        (
            "rpi-zero2w-32bit",
            "rootfs/proc/meminfo",
            "MemTotal: 200000 kB",
            "memory should be 512 MB, the kernel has 204.8 MB",
        ),
    ],
)
def test_what_the_profile_says_otherwise(tmp_path: Path, name: str, file: str, text: str, told: str) -> None:
    tree = copy_board(name, tmp_path)
    write(tree / file, text)
    if file.endswith("present"):
        write(tree / CPU / "online", text)
    assert told in host(tree).differs


def test_other_cores_than_expected(tmp_path: Path) -> None:
    tree = copy_board("rpi5", tmp_path)
    for cpu in range(4):
        write(tree / CPU / f"cpu{cpu}/regs/identification/midr_el1", "0x00000000410fd083")
    assert "CPUs 0-3 should be cortex-a76, found cortex-a72" in host(tree).differs


def test_a_server_with_fewer_cores_is_another_model_of_the_same(tmp_path: Path) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path)
    for name in ("present", "online"):
        write(tree / CPU / name, "0-95")
    assert host(tree).differs == []
    for name in ("present", "online"):
        write(tree / CPU / name, "0-90")
    assert "found 91" in host(tree).differs[0]


GARBAGE = {
    f"{CPU}/online": ("\xff\xfegarbage", "a list of CPUs such as 0-3"),
    f"{CPU}/cpufreq/policy0/cpuinfo_max_freq": ("fast", "a number"),
    f"{CPU}/cpufreq/policy0/related_cpus": ("all of them", "a list of CPUs"),
    f"{CPU}/cpu0/cpu_capacity": ("large", "a whole number"),
    f"{CPU}/cpu0/cache/index0/level": ("one", "a whole number"),
    f"{CPU}/cpu0/topology/cluster_cpus_list": ("-", "a list of CPUs"),
    "rootfs/proc/cpuinfo": ("nothing of use", "an entry for each processor"),
    "rootfs/sys/class/devfreq/dmc/cur_freq": ("", "a number"),
}


@pytest.mark.parametrize("file", sorted(GARBAGE))
def test_garbage_is_named_and_not_fatal(tmp_path: Path, file: str) -> None:
    tree = copy_board("rock-5b", tmp_path)
    text, expected = GARBAGE[file]
    write(tree / file, text)
    problems = host(tree).problems
    path = file.removeprefix("rootfs")
    assert any(line.startswith(f"{path}: ") and f"expected {expected}" in line for line in problems), problems
    assert any(finding.name == "file" and path in finding.text for finding in examine(tree))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EAGAIN, "not ready (EAGAIN)"),
        (errno.EPERM, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_files_that_refuse_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    tree = copy_board("rock-5b", tmp_path)
    refusing = {"scaling_governor", "cpuinfo_max_freq", "midr_el1", "type", "model", "cur_freq", "cpuinfo"}
    opened: dict[int, str] = {}
    really_open, really_read = os.open, os.read

    def note(path: str, flags: int, *more: int) -> int:
        descriptor = really_open(path, flags, *more)
        opened[descriptor] = str(path).rpartition("/")[2]
        return descriptor

    def refuse(descriptor: int, size: int) -> bytes:
        if opened.get(descriptor) in refusing:
            raise OSError(code, os.strerror(code))
        return really_read(descriptor, size)

    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(os, "read", refuse)
    found = read_capabilities(root=tree)
    assert found.host is not None
    assert f"/proc/cpuinfo: {reason}" in found.host.problems
    assert len(found.host.problems) <= 21
    assert found.core_sets["all"] == list(range(8))


def test_loops_folders_and_pipes_in_place_of_files(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    governor = tree / CPU / "cpufreq/policy0/scaling_governor"
    governor.unlink()
    governor.symlink_to(governor)
    model = tree / "rootfs/proc/device-tree/model"
    model.unlink()
    model.mkdir()
    pipe = tree / "rootfs/sys/class/devfreq/dmc/governor"
    pipe.unlink()
    os.mkfifo(pipe)
    loop = tree / "rootfs/sys/class/thermal/thermal_zone0"
    (loop / "temp").unlink()
    (loop / "temp").symlink_to(loop)
    problems = host(tree).problems
    assert (
        f"/{CPU.removeprefix('rootfs/')}/cpufreq/policy0/scaling_governor: a loop of links (ELOOP)"
        in problems
    )
    assert "/proc/device-tree/model: a folder, expected a file" in problems


def test_a_tree_of_nothing_is_a_board_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "rootfs/proc").mkdir(parents=True)
    found = read_capabilities(root=tmp_path)
    assert (found.profile, found.core_sets["all"], found.memory_bytes) == ("generic", [], None)
    assert found.host == Host()
