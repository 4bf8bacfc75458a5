"""What of the agent's files a model's process cannot reach, tried by a process that is fenced in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from edgedyno.agent.config import AgentConfig
from edgedyno.agent.fence import fence_of
from edgedyno.agent.worker.landlock import version
from edgedyno.agent.worker.process import WorkerProcess
from edgedyno.core.broker import Broker, Tls
from edgedyno.core.meters import MeterSettings
from edgedyno.core.run import Environment
from tests.agent.worker.test_process import SCRIPTED

TRIES = """
import json, os, socket, subprocess, sys
from edgedyno.agent.worker.confine import no_new_privileges
from edgedyno.agent.worker.landlock import fence_in

fence, tries, parent = json.loads(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
no_new_privileges()
found = {"fenced": fence_in(**fence)}

def attempt(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

for path in tries["read"]:
    found["read " + path] = attempt(lambda: open(path, "rb").read())
for path in tries["write"]:
    found["write " + path] = attempt(lambda: open(path, "ab").write(b"x"))
found["run"] = attempt(lambda: subprocess.run(["/bin/true"], check=True))
found["list"] = attempt(lambda: os.listdir("/"))
found["look into the agent"] = attempt(lambda: open(f"/proc/{parent}/mem", "rb"))
found["signal the agent"] = attempt(lambda: os.kill(parent, 0))
found["tcp"] = attempt(lambda: socket.create_connection(("127.0.0.1", tries["port"]), 5).close())
print(json.dumps(found))
"""


def tried(fence: dict[str, list[str]], **tries: Any) -> dict[str, Any]:
    """Return what came of each try."""
    asked = {"read": [], "write": [], "port": 1, **tries}
    done = subprocess.run(
        [sys.executable, "-c", TRIES, json.dumps(fence), json.dumps(asked), str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return a state folder such as an agent's, in a folder with others."""
    folder = tmp_path / "state"
    for name in ("identity-1", "artifacts", "environments", "work/run", "spool"):
        (folder / name).mkdir(parents=True)
    for name in ("identity-1/key.pem", "artifacts/model", "work/run/input.npy", "agent.db", "spool/one"):
        (folder / name).write_text("something")
    (folder / "identity").symlink_to("identity-1")
    (tmp_path / "beside").write_text("something")
    return folder


@pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")
def test_a_fenced_process_reaches_its_work_and_the_system_only(state_dir: Path, tmp_path: Path) -> None:
    fence = fence_of(AgentConfig(), state_dir)
    listener = socket.create_server(("127.0.0.1", 0))
    hidden = [
        state_dir / name for name in ("identity-1/key.pem", "identity/key.pem", "agent.db", "spool/one")
    ]
    shown = [
        state_dir / "artifacts/model",
        state_dir / "work/run/input.npy",
        tmp_path / "beside",
        Path(os.__file__),
    ]
    with listener:
        found = tried(
            {"hidden": fence.hidden, "read_only": fence.read_only, "opened": fence.opened},
            read=[*map(str, hidden), *map(str, shown)],
            write=[
                *(
                    str(state_dir / name)
                    for name in ("artifacts/model", "artifacts/other", "agent.db", "new")
                ),
                *(str(path) for path in (state_dir / "work/run/output", tmp_path / "beside")),
            ],
            port=listener.getsockname()[1],
        )
    refused = {name for name, came in found.items() if came == "PermissionError"}
    expected = {f"read {path}" for path in hidden}
    expected |= {
        f"write {state_dir / name}" for name in ("artifacts/model", "artifacts/other", "agent.db", "new")
    }
    expected |= {"look into the agent"}
    expected |= {"tcp"} if version() >= 4 else set()
    expected |= {"signal the agent"} if version() >= 6 else set()
    assert refused == expected
    assert found.pop("fenced") is True
    assert {came for name, came in found.items() if name not in refused} == {"done"}


@pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")
def test_without_a_fence_all_of_it_is_reached(state_dir: Path) -> None:
    """So the test above shows the fence, and not some other obstacle."""
    nothing: dict[str, list[str]] = {"hidden": ["/nowhere/at/all"], "read_only": [], "opened": []}
    key, model = str(state_dir / "identity" / "key.pem"), str(state_dir / "artifacts" / "model")
    found = tried(nothing, read=[key], write=[model])
    assert (found[f"read {key}"], found[f"write {model}"]) == ("done", "done")


@pytest.mark.skipif(version() == 0, reason="this kernel has no Landlock")
def test_an_identity_that_comes_later_is_hidden_too(state_dir: Path) -> None:
    fence = fence_of(AgentConfig(), state_dir)
    with tempfile.TemporaryFile() as log:
        worker = WorkerProcess(sys.executable, log)
        try:
            asked = {"hidden": fence.hidden, "read_only": fence.read_only, "opened": fence.opened}
            assert worker.ask("start", 20, plugin=SCRIPTED._asdict(), fence=asked)["fenced"] is True
        finally:
            worker.close()
    (state_dir / "identity-2").mkdir()
    (state_dir / "identity-2" / "key.pem").write_text("newer")
    key = str(state_dir / "identity-2" / "key.pem")
    assert tried(asked, read=[key])[f"read {key}"] == "PermissionError"


def test_what_the_configuration_keeps_secret_is_hidden(tmp_path: Path) -> None:
    config = AgentConfig(
        broker=Broker(password_file="/etc/e/mqtt", tls=Tls(key_file="/etc/e/key.pem")),
        controller_url="https://c",
        controller_token_file="/etc/e/token",
        power=[MeterSettings("tasmota", topic="plug", broker=Broker(password_file="/etc/e/plug"))],
        runtimes=[
            Environment("mine", str(tmp_path / "venv" / "bin" / "python")),
            Environment("system", "/usr/bin/python3"),
        ],
    )
    fence = fence_of(config, tmp_path)
    assert set(fence.hidden) == {
        str(tmp_path),
        "/etc/e/mqtt",
        "/etc/e/key.pem",
        "/etc/e/token",
        "/etc/e/plug",
    }
    assert str(tmp_path / "venv") in fence.read_only
    assert "/usr" not in fence.read_only
    assert fence.opened == [str(tmp_path / "work")]
