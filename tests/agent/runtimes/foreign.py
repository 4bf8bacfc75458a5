"""A worker in the environment of the other runtimes, which ./scripts/runtimes makes."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.worker.process import WorkerProcess
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60


def interpreter() -> Path:
    """Return the environment's interpreter: EDGEDYNO_RUNTIMES names another folder."""
    python = Path(os.environ.get("EDGEDYNO_RUNTIMES", ROOT / ".runtimes")) / "bin/python"
    if not python.exists():
        pytest.fail(f"{python} is missing: ./scripts/runtimes makes it")
    return python


@contextmanager
def started(runtime: str, cpus: list[int] | None = None) -> Iterator[WorkerProcess]:
    """Start a worker with the plugin `runtime` loaded."""
    plugin = next(each for each in find_plugins() if each.name == runtime)
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(str(interpreter()), log)
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


def outputs(process: WorkerProcess, tensor: np.ndarray[Any, Any], folder: Path) -> list[np.ndarray[Any, Any]]:
    """Infer one float32 tensor."""
    path = folder / "input.npy"
    np.save(path, tensor)
    answer = process.ask("infer", SECONDS, path=str(path), folder=str(folder), name="output")
    return [np.load(each) for each in answer["outputs"]]
