"""The board's commands: exit codes, streams, and that the daemon can be started by its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent import inventory
from edgedyno.agent.caps_table import caps_table
from edgedyno.agent.main import main
from edgedyno.core.board import PowerSource, RuntimeInfo
from edgedyno.core.errors import RunError
from edgedyno.core.run import Environment
from tests.agent.fleet.samples import CAPABILITIES
from tests.conftest import free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.fleet.standin import Standin
    from tests.conftest import Mosquitto


def test_help_begins_with_examples_and_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "edgedyno agent run" in text
    assert "exit codes: 0 ok" in text


@pytest.mark.parametrize("argv", [[], ["fly"], ["run", "--log-level", "loud"]])
def test_wrong_usage_is_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["enroll"], "enroll.usage"),
        (["enroll", "nonsense"], "enroll.token"),
        (["enroll", "edgedyno1.WyJodHRwcz.00000000"], "enroll.altered"),
        (["enroll", "@/nowhere"], "enroll.file"),
        (["enroll", "--renew"], "identity.none"),
    ],
)
def test_enroll_refuses_what_is_no_token(
    argv: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--state-dir", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert f"[{code}]" in output.err
    assert not output.out
    assert list(tmp_path.iterdir()) == []


def test_a_check_of_the_broker(mosquitto: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--check", "--broker", f"{mosquitto.host}:{mosquitto.port}"]) == 0
    assert main(["run", "--check", "--broker", f"127.0.0.1:{free_port()}"]) == 3
    assert "[broker.unreachable]" in capsys.readouterr().err


def test_a_bad_configuration_is_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("boards: x\n")
    assert main(["run", "--config", str(file)]) == 2
    assert "did you mean 'board'?" in capsys.readouterr().err
    assert main(["run", "--config", str(tmp_path / "none")]) == 2


def test_the_table_says_why_not() -> None:
    capabilities = msgspec.structs.replace(
        CAPABILITIES,
        runtimes=[
            RuntimeInfo("onnxruntime", "1.20", True),
            RuntimeInfo("ncnn", None, False, "not installed"),
        ],
        power=[PowerSource("rapl", "package", False, "no permission")],
    )
    text = caps_table(capabilities)
    assert "onnxruntime 1.20 in default: yes" in text
    assert "ncnn in default: no (not installed)" in text
    assert "rapl (package): no (no permission)" in text


def test_the_inventory_is_probed_once_for_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = []

    def probe(config_file: Path | None, state_dir: Path) -> object:
        probes.append(config_file)
        return CAPABILITIES

    monkeypatch.setattr(inventory, "_probe", probe)
    file = tmp_path / "capabilities.json"
    for _ in range(2):
        assert inventory.read_inventory(file, [], config_file=None) == CAPABILITIES
    assert len(probes) == 1
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    environments = [Environment("other", str(python))]
    inventory.read_inventory(file, environments, config_file=None)
    inventory.read_inventory(file, environments, config_file=None)
    assert len(probes) == 2
    (tmp_path / "venv/lib/python3.11/site-packages").mkdir(parents=True)
    inventory.read_inventory(file, environments, config_file=None)
    assert len(probes) == 3
    file.write_text("{")
    inventory.read_inventory(file, environments, config_file=None)
    assert len(probes) == 4


def test_a_probe_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inventory, "PROBE", "import sys; sys.exit(7)")
    with pytest.raises(RunError, match="exit code 7"):
        inventory.read_inventory(tmp_path / "c.json", [], config_file=None)
    monkeypatch.setattr(inventory, "PROBE", "print('{}')")
    with pytest.raises(RunError, match="gave no capabilities"):
        inventory.read_inventory(tmp_path / "c.json", [], config_file=None)


def test_the_command_serves(controller: Standin, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With capabilities kept from an earlier start, as after any restart of the service."""
    state = tmp_path / "state"
    state.mkdir()
    kept = {"key": inventory.inventory_key([]), "capabilities": msgspec.to_builtins(CAPABILITIES)}
    (state / "capabilities.json").write_text(json.dumps(kept))
    config = tmp_path / "agent.yaml"
    config.write_text("board: board\nlabels: {room: lab}\n")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edgedyno.agent.main",
            "run",
            "--config",
            str(config),
            "--state-dir",
            str(state),
        ],
        env={**os.environ, "EDGEDYNO_BROKER": f"{mosquitto.host}:{mosquitto.port}"},
    )
    try:
        wait_until(lambda: controller.states and controller.states[-1].online, what="birth")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    wait_until(lambda: not controller.states[-1].online, what="farewell")
