"""Tools, power modes, temperatures, throttle bits, system: one reader each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.host import tools
from edgedyno.agent.host.cpuinfo import read_cpuinfo
from edgedyno.agent.host.place import locate
from edgedyno.agent.host.powermode import read_power_mode
from edgedyno.agent.host.proc import read_cpu_time, read_pressure_seconds
from edgedyno.agent.host.system import read_container, read_kernel, read_os, read_virtual_machine
from edgedyno.agent.host.tasks import MAX_THREADS, ThreadTime, read_process, waited
from edgedyno.agent.host.thermal import find_temperature_files, read_temperatures
from edgedyno.agent.host.throttle import decode_throttled, find_throttle_probes, parse_get_throttled
from edgedyno.agent.host.tools import LiveTools, RecordedTools
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path


def test_recorded_tools() -> None:
    recorded = RecordedTools(board("rpi5") / "bin-output")
    assert (recorded.run("vcgencmd", "get_throttled").text or "").strip() == "throttled=0x0"
    assert "VDD_CORE_A" in (recorded.run("vcgencmd", "pmic_read_adc").text or "")
    assert recorded.run("nvpmodel", "-q").reason == "recorded board: no output of 'nvpmodel -q'"
    nano = RecordedTools(board("jetson-nano") / "bin-output")
    assert (nano.run("nvpmodel", "-q").text or "").startswith("NV Power Mode: MAXN")


def test_live_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveTools()
    assert live.run("echo", "here").text == "here\n"
    assert live.run("no-such-tool-anywhere").reason == "no-such-tool-anywhere is not installed"
    assert live.run("sh", "-c", "echo broken >&2; exit 3").reason == "sh ended with 3: broken"
    monkeypatch.setattr(tools, "TIMEOUT_SECONDS", 0.05)
    assert live.run("sleep", "5").reason == "sleep did not answer within 0.05 s"


def test_power_mode_is_a_name_and_not_a_number(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    assert read_power_mode(tree / "rootfs") == "MAXN_SUPER"
    (tree / "rootfs/etc/nvpmodel.conf").unlink()
    assert read_power_mode(tree / "rootfs") == "nvpmodel 2"
    assert read_power_mode(board("rpi5") / "rootfs") is None


def test_temperatures_leave_out_what_lies_and_what_does_not_answer() -> None:
    nano = find_temperature_files(board("jetson-nano") / "rootfs")
    assert read_temperatures(nano) == {
        "AO-therm": 47.5,
        "CPU-therm": 39.0,
        "GPU-therm": 37.0,
        "PLL-therm": 36.5,
        "thermal-fan-est": 38.0,
    }
    orin = find_temperature_files(board("jetson-orin-nano") / "rootfs")
    assert "cv0-thermal" not in orin
    assert read_temperatures(orin)["tj-thermal"] == 50.781
    assert read_temperatures({"gone": "/nowhere/temp"}) == {}


def test_two_zones_of_one_type_have_two_names() -> None:
    zones = read_temperatures(find_temperature_files(board("kunpeng920-2s") / "rootfs"))
    assert zones == {"acpitz": 65.9, "acpitz 1": 48.5}


def test_temperatures_from_hwmon_and_implausible_ones(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / "rootfs/sys/class/thermal/thermal_zone0/temp", "-256000")
    assert read_temperatures(find_temperature_files(tree / "rootfs"))["coretemp Package id 0"] == 52.0


@pytest.mark.parametrize(
    ("text", "bits"),
    [("throttled=0x50005\n", 0x50005), ("throttled=0x0", 0), ("error=1", None), ("", None), (None, None)],
)
def test_get_throttled(text: str | None, bits: int | None) -> None:
    assert parse_get_throttled(text) == bits


def test_throttle_bits() -> None:
    reading = decode_throttled(0x50005)
    assert reading.flags == {"undervoltage", "throttled"}
    assert reading.counters["undervoltage since boot"] == 1
    assert reading.counters["frequency capped since boot"] == 0


def test_what_the_profile_expects_and_the_board_lacks_is_named() -> None:
    probes = find_throttle_probes(locate(board("vm-bare")), [0], expected=["soctherm_oc"])
    assert [(probe.source, probe.reason) for probe in probes] == [
        ("soctherm_oc", "no such file on this kernel")
    ]


def test_system_names(tmp_path: Path) -> None:
    assert read_os(tmp_path) == read_kernel(tmp_path) == "unknown"
    write(tmp_path / "etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    write(tmp_path / "proc/version", "Linux version 6.1.0-rpi7 (gcc) #1 SMP\n")
    assert read_os(tmp_path) == "Debian GNU/Linux 12 (bookworm)"
    assert read_kernel(tmp_path) == "6.1.0-rpi7"
    assert read_container(tmp_path) is None
    write(tmp_path / "proc/1/environ", "TERM=x\0container=lxc\0")
    assert read_container(tmp_path) == "lxc"


def test_virtual_machines(tmp_path: Path) -> None:
    info = read_cpuinfo(tmp_path)
    assert read_virtual_machine(tmp_path, info) is None
    write(tmp_path / "sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)")
    write(tmp_path / "sys/class/dmi/id/sys_vendor", "QEMU")
    assert (read_virtual_machine(tmp_path, info) or "").startswith("QEMU")


@pytest.mark.parametrize("text", ["", "cpu0 1 2", "cpu0 a b c d e f g h", "cpu1 1 2 3 4 5 6 7 8 9 10"])
def test_proc_stat_without_the_cpu(tmp_path: Path, text: str) -> None:
    write(tmp_path / "proc/stat", text)
    assert read_cpu_time(tmp_path, [0]) is None


def test_proc_garbage(tmp_path: Path) -> None:
    write(tmp_path / "proc/pressure/cpu", "garbage")
    write(tmp_path / "proc/5/stat", "5 (x) S 1")
    assert read_pressure_seconds(tmp_path) is None
    assert read_process(tmp_path, 5) is None
    assert read_process(tmp_path, 6) is None


def test_many_threads_are_read_without_their_switches(tmp_path: Path) -> None:
    write(tmp_path / "proc/5/stat", "5 (x) S " + "0 " * 20)
    for task in range(MAX_THREADS + 9):
        write(tmp_path / f"proc/5/task/{task}/schedstat", "1 2000000000 3")
        if task < 3:
            write(tmp_path / f"proc/5/task/{task}/status", "voluntary_ctxt_switches:\t7\n")
    many = read_process(tmp_path, 5)
    assert many is not None
    assert len(many.threads) == MAX_THREADS
    assert many.threads[0] == ThreadTime(2.0, None, None)
    for task in range(3, MAX_THREADS + 9):
        (tmp_path / f"proc/5/task/{task}/schedstat").unlink()
        (tmp_path / f"proc/5/task/{task}").rmdir()
    few = read_process(tmp_path, 5)
    assert few is not None
    assert few.threads[0] == ThreadTime(2.0, 7, None)
    # What was not counted before cannot be a difference after.
    assert waited({5: many}, {5: few}) == (0.0, None, None)
