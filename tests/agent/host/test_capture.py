"""A captured board gives the same capabilities as the board, names nobody, and fails where the board failed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host import tools
from edgedyno.agent.host.capture import capture
from edgedyno.agent.host.read import read
from edgedyno.agent.host.redact import Redactor
from edgedyno.agent.host.tools import LiveTools
from edgedyno.agent.main import main
from edgedyno.agent.recording import compare_recording
from edgedyno.core.errors import ConfigError
from tests.agent.boards import BOARDS, board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(path.name for path in BOARDS.iterdir() if path.is_dir())
CONTAINER = "7f3c" * 16


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_board_comes_through(name: str, tmp_path: Path) -> None:
    capture(board(name), tmp_path / "copy")
    assert compare_recording(board(name), tmp_path / "copy") == []
    copied = read_capabilities(root=tmp_path / "copy")
    if name != "x86-rapl":
        assert copied.power == read_capabilities(root=board(name)).power


def test_this_machine_comes_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", str(tmp_path / "here")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'here'}\n"
    kept = json.loads((tmp_path / "here/capture.json").read_text())
    assert "/proc/cpuinfo" in kept["files"]
    assert kept["tools"]["uname -m"] == "bin-output/uname_m.txt"
    assert (tmp_path / "here/bin-output/uname_m.txt").read_text().strip() == os.uname().machine
    assert main(["caps", "--root", str(tmp_path / "here"), "--json"]) == 0


SECRETS = {
    "serial": "10000000abcdef12",
    "mac": "dc:a6:32:01:23:45",
    "address": "192.168.17.4",
    "address6": "fe80::dea6:32ff:fe01:2345",
    "uuid": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "user": "wilhelmina",
    "host": "greenhouse-cam-3",
    "container": CONTAINER,
}


def test_nobody_is_named(tmp_path: Path) -> None:
    tree = copy_board("rpi4b", tmp_path)
    root = tree / "rootfs"
    info = (root / "proc/cpuinfo").read_text().splitlines()
    info = [f"Serial\t\t: {SECRETS['serial']}" if line.startswith("Serial") else line for line in info]
    write(root / "proc/cpuinfo", "\n".join(info) + "\n")
    write(root / "etc/hostname", "greenhouse-cam-3.example\n")
    write(root / "etc/passwd", "root:x:0:0::/root:/bin/sh\nwilhelmina:x:1000:1000::/home/w:/bin/bash\n")
    write(root / "proc/version", "Linux version 6.6.31 (wilhelmina@greenhouse-cam-3) (gcc) #1 SMP\n")
    write(root / "proc/self/cgroup", f"0::/user/wilhelmina/docker-{CONTAINER}.scope\n")
    group = root / f"sys/fs/cgroup/user/wilhelmina/docker-{CONTAINER}.scope"
    write(group / "cpu.max", "150000 100000")
    write(group / "cpu.stat", "usage_usec 1")
    write(root / "sys/fs/cgroup/cgroup.controllers", "cpu")
    write(
        root / "proc/1/environ", f"TOKEN=secret\0HOME=/home/wilhelmina\0container=lxc\0X={SECRETS['uuid']}\0"
    )
    write(root / "sys/class/hwmon/hwmon0/device/uevent", f"MAC={SECRETS['mac']}")
    write(root / "sys/class/hwmon/hwmon0/name2", f"plug {SECRETS['mac']} at {SECRETS['address']}")
    write(root / "sys/class/dmi/id/product_serial", SECRETS["serial"])
    write(root / "sys/class/dmi/id/product_uuid", SECRETS["uuid"])
    write(
        tree / "bin-output/ipmitool_sdr.txt",
        f"{SECRETS['address6']} {SECRETS['uuid']} greenhouse-cam-3 Serial Number : {SECRETS['serial']}\n",
    )
    made = capture(tree, tmp_path / "copy")
    everything = "".join(
        f"{path} {path.read_text('latin-1')}" for path in (tmp_path / "copy").rglob("*") if path.is_file()
    )
    assert [name for name, secret in SECRETS.items() if secret in everything] == []
    assert "TOKEN" not in everything
    assert made.redacted["/proc/cpuinfo"] == ["serial number"]
    assert made.redacted["/proc/version"] == ["builder"]
    assert set(made.redacted["ipmitool sdr"]) >= {"UUID", "IP address", "host name"}
    assert not any("product_serial" in path or "product_uuid" in path for path in made.files)
    assert compare_recording(tree, tmp_path / "copy") == []
    found = read_capabilities(root=tmp_path / "copy").host
    assert found is not None
    assert found.container == "lxc"
    assert found.limits is not None
    assert found.limits.cpus == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "brcm,bcm2711",
        "nvidia,p3768-0000+p3767-0005-super",
        "Linux version 5.10.104-tegra",
        "L4T R36 (release), REVISION: 4.3",
        "0::/system.slice/edgedyno.service",
        "intel-rapl:0:0",
        "0000:00:1f.3",
        "10 16 32 33",
        "nid 0x00000000410fd083",
        "2026-11-22 17:44:28",
        "127.0.0.1",
        "raspberrypi root pi",
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    assert Redactor(["raspberrypi"], ["root", "pi", "nvidia"]).apply(text) == (text, ())


def test_files_that_fail_are_recorded_and_fail_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    zone = tree / "rootfs/sys/class/thermal/thermal_zone0/temp"
    opened: dict[int, str] = {}
    really_open, really_read = os.open, os.read

    def note(path: str, flags: int, *more: int) -> int:
        descriptor = really_open(path, flags, *more)
        opened[descriptor] = str(path)
        return descriptor

    def refuse(descriptor: int, size: int) -> bytes:
        if opened.get(descriptor) == str(zone):
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return really_read(descriptor, size)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", note)
        patched.setattr(os, "read", refuse)
        made = capture(tree, tmp_path / "copy")
    assert made.failed == {"/sys/class/thermal/thermal_zone0/temp": "not ready (EAGAIN)"}
    assert not (tmp_path / "copy/rootfs/sys/class/thermal/thermal_zone0/temp").exists()
    found = read_capabilities(root=tmp_path / "copy").host
    assert found is not None
    assert read(tmp_path / "copy/rootfs/sys/class/thermal/thermal_zone0/temp") == (None, "not ready (EAGAIN)")


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "old/file", "x")
    for folder in (tmp_path / "old", tmp_path / "old/file"):
        with pytest.raises(ConfigError, match="expected a new or empty folder") as caught:
            capture(board("rpi5"), folder)
        assert caught.value.code == "capture.folder"


def test_a_damaged_recording_is_refused(tmp_path: Path) -> None:
    tree = copy_board("rpi5", tmp_path)
    for text in ("{", "[]", '{"failed": 3}'):
        write(tree / "capture.json", text)
        with pytest.raises(ConfigError, match="expected what `edgedyno agent capture` writes"):
            read_capabilities(root=tree)


def test_one_line_of_a_tool_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TIMEOUT_SECONDS", 0.2)
    for name, program in {
        "endless": "while :; do echo RAM 1/2MB; sleep 0.01; done",
        "mute": "exec sleep 30",
    }.items():
        write(tmp_path / name, f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert LiveTools().first_line("endless") == ("RAM 1/2MB", None)
    assert LiveTools().first_line("mute").reason == "mute printed no line within 0.2 s"
    assert LiveTools().first_line("no-such-tool").reason == "no-such-tool is not installed"


def test_a_recording_that_differs_is_told(tmp_path: Path) -> None:
    capture(board("rpi5"), tmp_path / "copy")
    write(tmp_path / "copy/rootfs/sys/devices/system/cpu/online", "0-1")
    told = compare_recording(board("rpi5"), tmp_path / "copy")
    assert any(line.startswith("core_sets: the board has") for line in told)
