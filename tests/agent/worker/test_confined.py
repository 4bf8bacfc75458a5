"""What a worker cannot do: use the network, gain rights, fill the disk, read the agent's secrets, run a shell."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.worker.confine import MOST_FILE_BYTES, MOST_OPEN_FILES
from edgedyno.agent.worker.process import WorkerProcess, clean_environment
from tests.agent.worker.test_process import SCRIPTED
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        yield process
        process.close()


def start(worker: WorkerProcess) -> dict[str, Any]:
    return worker.ask("start", 20, plugin=SCRIPTED._asdict())


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def limits(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split() for line in lines}


def test_a_worker_is_in_a_network_of_its_own_where_the_system_lets_it(worker: WorkerProcess) -> None:
    answer = start(worker)
    mine, its = (Path(f"/proc/{who}/ns/net").readlink() for who in ("self", worker.pid))
    assert answer["no_network"] == (mine != its)
    if not answer["no_network"]:
        pytest.skip("this system lets nobody make a network namespace")
    # Its network has no interface that is up, not even loopback.
    routes = Path(f"/proc/{worker.pid}/net/route").read_text().splitlines()
    assert len(routes) <= 1
    assert [
        line.split(":")[0].strip()
        for line in Path(f"/proc/{worker.pid}/net/dev").read_text().splitlines()[2:]
    ] == ["lo"]


def test_a_worker_gains_no_rights_and_dumps_no_core(worker: WorkerProcess) -> None:
    start(worker)
    assert status(worker.pid)["NoNewPrivs"].strip() == "1"
    found = limits(worker.pid)
    assert found["Max core file size"][:2] == ["0", "0"]
    assert int(found["Max file size"][1]) <= MOST_FILE_BYTES
    assert int(found["Max open files"][1]) <= MOST_OPEN_FILES


def test_a_worker_sees_settings_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "EDGEDYNO_TOKEN": "x", "GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "MY_PASSWORD": "x", "api_key": "x",
        "SSH_AUTH_SOCK": "/run/x", "NOTIFY_SOCKET": "/run/y", "CREDENTIALS_DIRECTORY": "/run/z",
    }  # fmt: skip
    settings = {
        "PATH": "/usr/bin",
        "LD_LIBRARY_PATH": "/opt",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "0",
    }
    assert clean_environment({**secrets, **settings}) == settings
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        try:
            process.ask("start", 20, plugin=SCRIPTED._asdict())
            seen = Path(f"/proc/{process.pid}/environ").read_bytes()
        finally:
            process.close()
    assert b"PATH=" in seen
    for name in secrets:
        assert name.encode() + b"=" not in seen


SHELLS = re.compile(
    r"shell\s*=\s*True|os\.system\(|os\.popen\(|subprocess\.getoutput|subprocess\.getstatusoutput|"
    r"create_subprocess_shell|pty\.spawn|[\"'](?:/bin/)?(?:ba|da|z)?sh[\"']\s*,\s*[\"']-c|(?<![.\w])(?:eval|exec)\(|"
    r"pickle\.load|yaml\.load\(|yaml\.unsafe_load|marshal\.loads"
)


def test_nothing_here_runs_a_shell_or_code_from_data() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for part in ("core", "agent", "controller", "cli")
        for file in (ROOT / part).rglob("*.py")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if SHELLS.search(line)
    ]
    assert found == []
