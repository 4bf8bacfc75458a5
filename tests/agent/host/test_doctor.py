"""The doctor names what is missing on each recorded board, with what to do, and changes nothing."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

from edgedyno.agent import doctor
from edgedyno.agent.doctor import Finding, examine
from edgedyno.core.board import RuntimeInfo
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


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> list[RuntimeInfo]:
    """Stand in for the probing of runtimes, which has tests of its own."""
    found: list[RuntimeInfo] = []
    module = types.ModuleType("edgedyno.agent.environments")
    module.probe_all = lambda environments: found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edgedyno.agent.environments", module)
    monkeypatch.setattr("edgedyno.agent.environments", module, raising=False)
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
