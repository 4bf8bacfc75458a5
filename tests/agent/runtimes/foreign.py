"""A worker in the environment of the other runtimes, which ./scripts/runtimes makes."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.worker.process import WorkerError, WorkerProcess
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60


def interpreter(name: str = "") -> Path:
    """Return an environment's interpreter: EDGEDYNO_RUNTIMES, EDGEDYNO_RUNTIMES_TFLITE name other folders."""
    variable = f"EDGEDYNO_RUNTIMES_{name.upper()}" if name else "EDGEDYNO_RUNTIMES"
    folder = ROOT / (f".runtimes-{name}" if name else ".runtimes")
    python = Path(os.environ.get(variable, folder)) / "bin/python"
    if not python.exists():
        pytest.fail(f"{python} is missing: ./scripts/runtimes makes it")
    return python


@contextmanager
def started(runtime: str, cpus: list[int] | None = None, environment: str = "") -> Iterator[WorkerProcess]:
    """Start a worker with the plugin `runtime` loaded, in the environment of that name."""
    plugin = next(each for each in find_plugins() if each.name == runtime)
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(str(interpreter(environment)), log)
        try:
            process.ask("start", SECONDS, plugin=plugin._asdict(), cpus=cpus)
            yield process
        finally:
            process.close()


def load(process: WorkerProcess, model: Path, scratch: Path, *, threads: int = 1, batch: int = 1) -> Any:
    """Load a model; return what the worker says of its inputs."""
    answer = process.ask(
        "load", SECONDS, model=str(model), threads=threads, batch=batch, scratch=str(scratch)
    )
    return answer["inputs"]


def refuses(
    process: WorkerProcess, content: bytes, folder: Path, code: str, words: str | None = None
) -> None:
    """Assert that a worker refuses a file under `code`, with `words` in the reason, and lives on."""
    path = folder / "model"
    path.write_bytes(content)
    with pytest.raises(WorkerError, match=words) as raised:
        load(process, path, folder)
    assert raised.value.code == code
    assert not raised.value.fatal


def outputs(process: WorkerProcess, tensor: np.ndarray[Any, Any], folder: Path) -> list[np.ndarray[Any, Any]]:
    """Infer one float32 tensor."""
    path = folder / "input.npy"
    np.save(path, tensor)
    answer = process.ask("infer", SECONDS, path=str(path), folder=str(folder), name="output")
    return [np.load(each) for each in answer["outputs"]]


def noise(*shape: int) -> np.ndarray[Any, Any]:
    """Return the same random tensor each time."""
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def expected(model: Path, tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the first output of ONNX Runtime on the CPU for a model with one input."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: tensor})[0])


def signal_to_noise_db(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    """Return how far the difference lies below the signal; equal arrays give a very large number."""
    assert found.shape == wanted.shape
    noise_power = float(np.sum((found - wanted) ** 2))
    return 10 * float(np.log10(np.sum(wanted**2) / max(noise_power, 1e-30)))


def used_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waits_idle(process: WorkerProcess) -> bool:
    """Tell whether a worker uses next to no processor time while nothing is asked of it."""
    before = used_seconds(process.pid)
    time.sleep(0.5)
    return used_seconds(process.pid) - before <= 0.05


def keeps_to_its_cores(
    runtime: str, model: Path, tensor: np.ndarray[Any, Any], threads: int, folder: Path
) -> bool:
    """Load on as many CPUs as threads, infer a few times, and tell whether no thread strays."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    with started(runtime, cpus, "tflite" if runtime == "tflite" else "") as process:
        before = process.ask("check", SECONDS)["threads"]
        load(process, model, folder, threads=threads)
        outputs(process, tensor, folder)
        assert len(process.ask("burst", SECONDS, count=5)["latency_ns"]) == 5
        check = process.ask("check", SECONDS)
        assert (check["threads"] > before) == (threads > 1)
        return bool(check["strayed_threads"] == 0) and waits_idle(process)
