"""A runtime that was there when the board was probed and is not when its trial begins costs that trial."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.board import RuntimeInfo
from edgedyno.core.manifest import Variant
from edgedyno.core.run import Environment
from tests.agent.measure.requests import FASTESTDET, Bench, onnxruntime

if TYPE_CHECKING:
    from pathlib import Path


def test_an_environment_that_was_removed_costs_one_trial(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    old = RuntimeInfo("onnxruntime", "1.19.2", available=True, environment="old", formats=["onnx"])
    bench = Bench(tmp_path)
    request = bench.request([Variant("fp32", "onnx", bench.add(FASTESTDET))], runtimes=[onnxruntime(), old])
    environments = [Environment("default", sys.executable), Environment("old", str(python))]
    shutil.rmtree(folder)
    results = bench.run(msgspec.structs.replace(request, environments=environments))
    failed, ok = sorted(results, key=lambda result: result.status)
    assert (ok.status, failed.status) == ("ok", "failed")
    assert failed.failure is not None
    assert failed.failure.code == "runtime.gone"
    assert failed.failure.text == (
        f"the environment 'old' is gone: found no {python}, which had onnxruntime before"
    )
    assert bench.ended.failure is None
