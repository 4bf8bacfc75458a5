"""Other runtimes over a fleet: the controller builds their files, the agent runs them, the metrics tell which ran."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.agent.runtimes import foreign
from tests.system.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = """\
name: engines
model: fastestdet
dataset: coco_ccby
sweep: {runtimes: [onnxruntime, ncnn, openvino], precisions: [fp32, fp16], threads: [1]}
measure: {precision: 20%, max_seconds: 8}
"""
FORMATS = {"onnxruntime": "onnx", "ncnn": "ncnn", "openvino": "openvino"}


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Fleet]:
    """Start a fleet whose controller has builders and whose agent has a second environment."""
    python = str(foreign.interpreter())
    fleet = Fleet(
        tmp_path,
        builders={"ncnn": python, "openvino": python},
        runtimes=[{"name": "default", "python": sys.executable}, {"name": "others", "python": python}],
    )
    try:
        fleet.start_all()
        yield fleet
    finally:
        fleet.stop_all()


def test_files_are_built_run_and_told_apart(engines: Fleet, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    done = engines.edgedyno("jobs", "submit", str(tmp_path / "job.yaml"), "--wait", "--json", check=False)
    assert done.returncode in (0, 1), done.stderr  # 1 on a machine that is busy with other work
    answer = json.loads(done.stdout)
    results = answer["results"]
    assert {(each["runtime"], each["format"], each["precision"]) for each in results} == {
        (runtime, form, precision) for runtime, form in FORMATS.items() for precision in ("fp32", "fp16")
    }
    for each in results:
        assert each["status"] == "ok", each["failure"]
        assert each["effective_precision"] in ("fp32", "fp16", "mixed")
        assert each["accuracy"]["value"] == pytest.approx(0.238, abs=0.02)
    metrics = httpx.get(f"{engines.url}/metrics", trust_env=False).raise_for_status().text
    told = {
        (label(line, "runtime"), label(line, "format"), label(line, "precision"))
        for line in metrics.splitlines()
        if line.startswith("edgedyno_result_info{") and label(line, "effective_precision")
    }
    assert told == {(each["runtime"], each["format"], each["precision"]) for each in results}
    (verdict,) = answer["verdicts"]
    # On a machine that is busy with other work a runtime's results may be void, and are then not compared.
    usable = {each["runtime"] for each in results if each["validity"]["valid"]}
    if verdict["recommended"]:
        assert {one["runtime"] for one in verdict["runtimes"]} | {
            one["other_runtime"] for one in verdict["runtimes"]
        } == (usable if len(usable) > 1 else set())


def label(line: str, name: str) -> str:
    """Return a label's value of a line of the metrics."""
    found = re.search(rf'[{{,]{name}="([^"]*)"', line)
    return found[1] if found else ""
