"""A real worker process in every interpreter that is here, and every way in which it can die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.worker.confine import parse_cpu_list
from edgedyno.agent.worker.optouts import OPT_OUTS
from edgedyno.agent.worker.process import Plugin, WorkerError, WorkerProcess
from tests.conftest import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTED = Plugin(
    "scripted", "scripted_runtime", "ScriptedRuntime", str(ROOT / "tests/agent/scripted_runtime.py")
)


def interpreters() -> list[str]:
    """Return one interpreter for each Python from 3.8 up that is on this machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {"this": sys.executable}
    for minor in range(8, 15):
        candidates = [shutil.which(f"python3.{minor}"), *map(str, pyenv.glob(f"3.{minor}.*/bin/python"))]
        for candidate in filter(None, candidates):
            check = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
            if subprocess.run([candidate, "-c", check], check=False, capture_output=True).returncode == 0:
                found[f"3.{minor}"] = candidate
                break
    return list(dict.fromkeys(found.values()))


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        yield process
        process.close()


def loaded(worker: WorkerProcess, folder: Path, script: dict[str, Any], **start: Any) -> dict[str, Any]:
    model = folder / "model.script"
    model.write_text(json.dumps(script))
    worker.ask("start", 20, plugin=SCRIPTED._asdict(), **start)
    return worker.ask("load", 20, model=str(model), threads=2, batch=1, scratch=str(folder))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("python", interpreters())
def test_protocol_runs_in_every_interpreter(python: str, tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(python, log)
        answer = loaded(process, tmp_path, {"seconds": 0.001}, cpus=[cpu])
        (spec,) = answer["inputs"]
        assert (spec["name"], spec["dtype"], spec["shape"]) == ("x", "float32", [1, 3, None, None])
        assert process.ask("probe", 20)["probe"]["version"] == "1.0"
        process.ask("bind", 20, path=None)
        burst = process.ask("burst", 20, count=5)
        assert len(burst["latency_ns"]) == 5
        assert all(each >= 1_000_000 for each in burst["latency_ns"])
        assert burst["cpu_ns"] > 0
        assert burst["run_delay_ns"] >= 0
        check = process.ask("check", 20)
        assert (check["threads"], check["strayed_threads"]) == (2, 0)
        assert check["peak_rss_bytes"] > 1 << 20
        process.close()
        assert not is_alive(process.pid)


def test_opt_outs_are_set_before_the_runtime_is_loaded(worker: WorkerProcess, tmp_path: Path) -> None:
    loaded(worker, tmp_path, {})
    seen = json.loads(worker.ask("precision", 20)["detail"])
    assert seen == {name: OPT_OUTS[name] for name in seen}


def test_worker_does_not_inherit_pythonpath(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a foreign json was imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        loaded(process, tmp_path, {})
        process.close()


def test_prints_of_the_runtime_do_not_reach_the_protocol(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(sys.executable, log)
        loaded(process, tmp_path, {"invoke": "shout"})
        assert len(process.ask("burst", 20, count=3)["latency_ns"]) == 3
        process.close()
        log.seek(0)
        assert log.read().count(b"words on stdout") == 3


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("segfault", "worker.crashed", "SIGSEGV"),
        ("kill", "worker.killed", "SIGKILL"),
        ("exit", "worker.crashed", "exit code 7"),
    ],
)
def test_death_is_told_with_its_cause(
    worker: WorkerProcess, tmp_path: Path, what: str, code: str, words: str
) -> None:
    loaded(worker, tmp_path, {"invoke": what, "after": 3})
    with pytest.raises(WorkerError, match=words) as raised:
        worker.ask("burst", 20, count=5)
    assert raised.value.code == code
    assert raised.value.fatal
    assert not is_alive(worker.pid)


def test_hung_worker_is_killed_at_its_deadline(worker: WorkerProcess, tmp_path: Path) -> None:
    loaded(worker, tmp_path, {"invoke": "hang"})
    with pytest.raises(WorkerError, match="no answer to 'burst' within") as raised:
        worker.ask("burst", 0.3, count=1)
    assert raised.value.code == "worker.hung"
    assert not is_alive(worker.pid)


def test_memory_hog_meets_its_limit_and_the_worker_lives_on(worker: WorkerProcess, tmp_path: Path) -> None:
    loaded(worker, tmp_path, {"invoke": "hoard"}, memory_bytes=256 << 20)
    with pytest.raises(WorkerError) as raised:
        worker.ask("burst", 60, count=1)
    assert raised.value.code == "worker.memory"
    assert not raised.value.fatal
    assert worker.ask("check", 20)["peak_rss_bytes"] < 512 << 20


def test_exception_of_the_runtime_is_an_answer(worker: WorkerProcess, tmp_path: Path) -> None:
    loaded(worker, tmp_path, {"invoke": "raise"})
    with pytest.raises(WorkerError, match="ValueError: the script says so") as raised:
        worker.ask("burst", 20, count=1)
    assert raised.value.code == "runtime.error"


def test_thread_outside_its_cores_is_noticed(worker: WorkerProcess, tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this test needs two CPUs")
    loaded(worker, tmp_path, {"invoke": "widen"}, cpus=[min(os.sched_getaffinity(0))])
    worker.ask("burst", 20, count=1)
    check = worker.ask("check", 20)
    assert (check["threads"], check["strayed_threads"]) == (2, 1)


def test_worker_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, tempfile, time\n"
        "from edgedyno.agent.worker.process import WorkerProcess\n"
        "process = WorkerProcess(sys.executable, tempfile.TemporaryFile())\n"
        f"process.ask('start', 20, plugin={SCRIPTED._asdict()!r})\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(3600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not is_alive(pid) or _is_zombie(pid), what="the worker's death")


def _is_zombie(pid: int) -> bool:
    try:
        return ") Z" in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_interpreter_that_is_not_there_is_a_plain_error() -> None:
    with (
        tempfile.TemporaryFile() as log,
        pytest.raises(WorkerError, match="cannot start /nonexistent") as raised,
    ):
        WorkerProcess("/nonexistent/python", log)
    assert raised.value.code == "worker.start"


@pytest.mark.parametrize(("text", "cpus"), [("0-3,8\n", {0, 1, 2, 3, 8}), ("5", {5}), ("", set())])
def test_parse_cpu_list(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


def test_worker_and_runtimes_run_on_python_3_8() -> None:
    folders = [str(ROOT / "agent/edgedyno/agent" / name) for name in ("worker", "runtimes")]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("vermin")), "-t=3.8-", "--no-tips", *folders],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
