"""The doctor names what is missing on each recorded board, with what to do, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from edgedyno.agent import doctor, neighbours
from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.caps_table import caps_table
from edgedyno.agent.doctor import examine
from edgedyno.agent.finding import Finding
from edgedyno.agent.host.place import locate
from edgedyno.agent.main import main
from edgedyno.core.board import PowerSource, RuntimeInfo
from tests.agent.boards import board, copy_board, write


def _by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_pi_without_a_sensor() -> None:
    found = _by_name(examine(board("rpi4b")))
    assert found["board"].status == "ok"
    assert found["power"].status == "warn"
    assert "Command not registered" in found["power"].text
    assert "plug" in (found["power"].remedy or "")
    assert found["governor"].status == "warn"
    assert "ondemand on policy0" in found["governor"].text
    assert found["throttling"].text == "seen by rpi_volt, get_throttled"


def test_a_meter_that_lacks_its_library_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = read_capabilities(root=board("x86-rapl"))
    missing = "an NVIDIA card is here, and NVML needs the Python package nvidia-ml-py"
    reason = f"{missing}: pip install 'edgedyno[nvml]'"
    changed = structs.replace(
        capabilities, power=[*capabilities.power, PowerSource("nvml", "GPU", available=False, reason=reason)]
    )
    monkeypatch.setattr(doctor, "read_capabilities", lambda **_: changed)
    found = [each for each in examine(board("x86-rapl")) if each.name == "power"]
    assert Finding("power", "warn", f"nvml: {missing}", "pip install 'edgedyno[nvml]'") in found
    assert any(each.status == "ok" for each in found)


def test_a_server_in_order() -> None:
    found = _by_name(examine(board("kunpeng920-2s")))
    assert found["governor"] == Finding("governor", "ok", "performance")
    assert found["power"].text == "ipmi_dcmi meters the machine"
    assert found["pressure"].status == "warn"


def test_offline_cpus_and_hidden_instructions(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    write(tree / "rootfs/sys/devices/system/cpu/online", "0-5")
    info = (tree / "rootfs/proc/cpuinfo").read_text()
    write(tree / "rootfs/proc/cpuinfo", info.replace("asimddp", ""))
    found = _by_name(examine(tree))
    assert found["cpus"].text == "CPUs 6-7 are offline"
    assert "dotprod" in found["instructions"].text


def test_a_virtual_machine_and_swap(tmp_path: Path) -> None:
    tree = copy_board("vm-bare", tmp_path)
    write(tree / "rootfs/proc/swaps", "Filename Type Size\n/swapfile file 1\n")
    write(tree / "rootfs/proc/vmstat", "pswpin 0\npswpout 0\n")
    write(tree / "rootfs/.dockerenv", "")
    found = _by_name(examine(tree))
    assert "virtual machine" in found["machine"].text
    assert "docker" in found["container"].text
    assert "/swapfile" in found["swap"].text


def test_it_changes_nothing(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    examine(tree)
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before


CPU = "rootfs/sys/devices/system/cpu"


def test_clocks_that_are_limited_or_boosted(tmp_path: Path) -> None:
    tree = copy_board("rpi4b", tmp_path)
    write(tree / CPU / "cpufreq/policy0/cpuinfo_max_freq", "1800000")
    write(tree / CPU / "cpufreq/policy0/scaling_max_freq", "1200000")
    write(tree / CPU / "cpufreq/boost", "1")
    found = _by_name(examine(tree))
    assert found["clock limit"].status == "warn"
    assert found["clock limit"].text == "the clock is limited: policy0 at 1200 of 1800 MHz"
    assert "cpuinfo_max_freq" in (found["clock limit"].remedy or "")
    assert found["boost"].status == "info"
    assert found["boost"].remedy == "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
    write(tree / CPU / "intel_pstate/no_turbo", "0")
    assert "no_turbo" in (_by_name(examine(tree))["boost"].remedy or "")


def test_a_board_that_is_or_was_throttled(tmp_path: Path) -> None:
    tree = copy_board("rpi4b", tmp_path)
    assert "throttled" not in _by_name(examine(tree))
    write(tree / "rootfs/sys/devices/platform/soc/soc:firmware/get_throttled", "50001")
    found = _by_name(examine(tree))["throttled"]
    assert found.text == (
        "the board is or was throttled: undervoltage now; undervoltage since boot; throttled since boot"
    )
    assert "supply" in (found.remedy or "")


def test_the_power_mode(tmp_path: Path) -> None:
    assert _by_name(examine(board("jetson-orin-nano")))["power mode"].status == "ok"
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / "rootfs/sys/firmware/acpi/platform_profile", "low-power")
    assert _by_name(examine(tree))["power mode"].status == "warn"


def test_what_the_kernel_does_with_cpus_and_memory(tmp_path: Path) -> None:
    tree = copy_board("vm-bare", tmp_path)
    write(tree / CPU / "smt/active", "1")
    write(tree / CPU / "isolated", "")
    write(tree / "rootfs/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never")
    write(
        tree / "rootfs/proc/stat", "cpu 1\ncpu0 80 0 0 9 0 0 0 20 0 0\ncpu1 100 0 0 9 0 0 0 0 0 0\nintr 1\n"
    )
    found = _by_name(examine(tree))
    assert {found[name].status for name in ("smt", "isolation", "huge pages")} == {"info"}
    assert "hypervisor kept 10.0% of the CPU time" in found["steal"].text


def test_a_quota_is_fatal_unless_it_is_wide(tmp_path: Path) -> None:
    tree = copy_board("vm-bare", tmp_path)
    write(tree / "rootfs/proc/self/cgroup", "0::/\n")
    write(tree / "rootfs/proc/stat", "cpu 1\ncpu0 1 0 0 9 0 0 0 0 0 0\ncpu1 1 0 0 9 0 0 0 0 0 0\nintr 1\n")
    base = tree / "rootfs/sys/fs/cgroup"
    write(base / "cgroup.controllers", "cpu")
    write(base / "cpu.stat", "nr_throttled 0\n")
    write(base / "cpu.max", "150000 100000")
    found = _by_name(examine(tree))["quota"]
    assert found.status == "fail"
    assert "a CPU quota of 1.5 CPUs" in found.text
    assert "--cpuset-cpus" in (found.remedy or "")
    for harmless in ("max 100000", "400000 100000"):
        write(base / "cpu.max", harmless)
        assert "quota" not in _by_name(examine(tree))


def test_services_desktop_and_timers(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    for pid, name in ((501, "irqbalance"), (502, "gnome-shell"), (503, "innocent")):
        write(tree / f"rootfs/proc/{pid}/stat", f"{pid} ({name}) S {'0 ' * 20}")
    write(tree / "rootfs/etc/systemd/system/timers.target.wants/apt-daily.timer", "")
    found = _by_name(examine(tree))
    assert found["services"].text == "irqbalance is running and moves interrupts between cores"
    assert found["services"].remedy == "sudo systemctl stop irqbalance"
    assert found["desktop"].text == "a desktop session is running (gnome-shell)"
    assert found["timers"].remedy == "sudo systemctl stop apt-daily.timer"


def test_files_that_may_not_be_read_come_with_what_grants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / "rootfs/proc/sys/kernel/perf_event_paranoid", "4")
    write(tree / "rootfs/dev/ipmi0", "")
    allowed = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: not str(path).endswith(("energy_uj", "ipmi0")) and allowed(path, mode),
    )
    found = [finding for finding in examine(tree) if finding.name == "permissions"]
    remedies = {finding.text.split(" may")[0].rpartition("/")[2]: finding.remedy or "" for finding in found}
    assert "systemd-tmpfiles --create /etc/tmpfiles.d/edgedyno-rapl.conf" in remedies["energy_uj"]
    assert "intel-rapl:*/energy_uj 0440 root edgedyno" in remedies["energy_uj"]
    assert 'KERNEL=="ipmi*", GROUP="edgedyno"' in remedies["ipmi0"]
    assert found[-1].status == "info"
    assert "perf_event_paranoid is 4" in found[-1].text


def test_a_busy_program_is_seen_and_is_load() -> None:
    before = neighbours._programs(locate())
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            findings = list(neighbours.neighbour_findings(locate(), sorted(os.sched_getaffinity(0))))
            after = neighbours._programs(locate())
        finally:
            busy.kill()
    load = _by_name(findings)["load"]
    assert load.status == "warn"
    assert "pid" in load.text
    assert busy.pid not in before
    assert after[busy.pid].cpu_seconds > 0
    assert os.getpid() not in after


def test_the_busiest_programs_are_named_with_their_ids() -> None:
    def program(pid: int, seconds: float) -> neighbours._Program:
        return neighbours._Program(pid, f"p{pid}", seconds)

    before = {pid: program(pid, 10.0) for pid in range(1, 7)}
    after = {pid: program(pid, 10.0 + pid / 20) for pid in range(1, 6)} | {9: program(9, 0.5)}
    assert neighbours._busiest(before, after) == "p9 pid 9: 100%, p5 pid 5: 50%, p4 pid 4: 40%, p3 pid 3: 30%"
    assert neighbours._busiest(after, after) == ""


def test_the_command_reads_a_recorded_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--root", str(board("rpi4b")), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"name": "governor", "status": "warn"}.items() <= next(
        finding for finding in printed if finding["name"] == "governor"
    ).items()


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> list[RuntimeInfo]:
    """Stand in for the probing of runtimes, which has tests of its own."""
    found: list[RuntimeInfo] = []
    monkeypatch.setattr("edgedyno.agent.environments.probe_all", lambda environments: found)
    return found


def test_this_machine(runtimes: list[RuntimeInfo]) -> None:
    runtimes += [
        RuntimeInfo("onnxruntime", "1.20", available=True),
        RuntimeInfo("tflite", "2.14", available=False, reason="AttributeError: _ARRAY_API not found"),
    ]
    findings = examine()
    names = {finding.name for finding in findings}
    assert names >= {
        "board",
        "power",
        "throttling",
        "governor",
        "pressure",
        "python",
        "load",
        "memory",
        "disk",
    }
    texts = {finding.text: finding for finding in findings if finding.name == "runtime"}
    assert texts["onnxruntime 1.20 in default ran a model"].status == "ok"
    assert any("numpy<2" in (finding.remedy or "") for finding in texts.values())


def test_no_runtime_at_all_fails(runtimes: list[RuntimeInfo]) -> None:
    assert not runtimes
    assert _by_name(examine())["runtimes"].status == "fail"


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = doctor._disk(tmp_path / "cache")
    assert finding.status == "fail"
    assert "cannot be written" in finding.text


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgedyno")
    assert doctor.cache_folder() == Path("/var/lib/edgedyno")
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert doctor.cache_folder() == Path("/elsewhere/edgedyno")


def test_each_runtime_that_is_not_here_says_what_to_do(runtimes: list[RuntimeInfo]) -> None:
    reason = "this build of onnxruntime has no such provider"
    runtimes += [
        RuntimeInfo("onnxruntime", "1.31.1", available=True),
        RuntimeInfo("onnxruntime-cuda", "1.31.1", available=False, reason=reason),
        RuntimeInfo("onnxruntime-acl", "1.31.1", available=False, reason=reason),
        *(
            RuntimeInfo(name, None, available=False, reason="not installed", environment="")
            for name in ("ncnn", "rknn", "rknn-simulator", "tensorrt")
        ),
    ]
    found = [finding for finding in examine() if finding.name == "runtime"]
    assert [(finding.status, finding.text) for finding in found[:3]] == [
        ("ok", "onnxruntime 1.31.1 in default ran a model"),
        ("info", "ncnn is not here: edgedyno agent runtimes add ncnn"),
        ("info", "rknn is not here: it needs a Rockchip NPU, and found none"),
    ]
    assert found[-1].text == "not in the builds that are here: onnxruntime-acl, onnxruntime-cuda"
    assert len(found) == 6
    tensorrt = next(finding for finding in found if finding.text.startswith("tensorrt"))
    assert "python: /usr/bin/python3" in (tensorrt.remedy or "")
    for finding in found[:-1]:
        assert len(f"{finding.status:4}  {finding.name}: {finding.text}") <= 80
        assert len("      " + (finding.remedy or "")) <= 90


def test_a_whole_environment_that_is_broken_is_told_once(runtimes: list[RuntimeInfo]) -> None:
    reason = "cannot start /gone/python: No such file or directory"
    runtimes += [
        RuntimeInfo(name, None, available=False, reason=reason, environment="old")
        for name in ("litert", "ncnn", "openvino")
    ]
    (finding,) = [finding for finding in examine() if finding.name == "runtime"]
    assert finding.text == f"no runtime in old: {reason}"
    assert "runtimes:" in (finding.remedy or "")


def test_findings_are_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--root", str(board("rpi4b"))]) == 0
    texts = [line for line in capsys.readouterr().out.splitlines() if line[:4].strip()]
    assert max(map(len, texts)) <= 80


@pytest.mark.parametrize("name", ["vm-bare", "rpi4b", "rock-5b"])
def test_meters_of_which_there_is_no_sign_take_one_line(name: str) -> None:
    capabilities = read_capabilities(root=board(name))
    lines = caps_table(capabilities, width=200).splitlines()
    (together,) = [line for line in lines if line.startswith("power    no sign of ")]
    power = [line for line in lines if line.startswith("power ")]
    for source in capabilities.power:
        assert (source.source in together) == source.absent
        alone = [line for line in power if line.startswith(f"power    {source.source} (")]
        assert len(alone) == (not source.absent)
    (found,) = [each for each in examine(board(name)) if each.name == "power"]
    assert "no RAPL zone" not in found.text
