"""A wrong profile through the whole of `edgedyno run` and `edgedyno models check`: caught, and the line named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

JOB = """
name: swapped
model: swapped.yaml
dataset: coco_ccby
sweep: {runtimes: [onnxruntime], precisions: [fp32], threads: [1]}
measure: {precision: 50%, max_seconds: 2}
"""
SWAPPED = "name: swapped\nextends: fastestdet\ninput: {colour: RGB}\n"


def edgedyno(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgedyno.cli.main", *arguments],
        cwd=cwd,
        env={**os.environ, "XDG_CACHE_HOME": str(cwd / "cache"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


def test_swapped_colours_are_caught_by_a_job(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    (tmp_path / "swapped.yaml").write_text(SWAPPED)
    done = edgedyno("run", "job.yaml", "--out", "out", cwd=tmp_path)
    [line] = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    result = json.loads(line)
    assert result["status"] == "ok", done.stderr
    assert result["selftest"]["passed"] is False
    assert result["selftest"]["looks_like"] == "input.colour-order"
    assert result["selftest"]["changes"] == ["input.colour: RGB → BGR"]


def test_swapped_colours_are_caught_by_models_check(tmp_path: Path) -> None:
    (tmp_path / "swapped.yaml").write_text(SWAPPED)
    done = edgedyno("models", "check", "./swapped.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "self-test: failed (input.colour-order)" in done.stderr
    assert "change input.colour: RGB → BGR" in done.stderr


def test_each_built_variant_is_tested_and_a_failure_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "swapped.yaml").write_text(SWAPPED)
    done = edgedyno("models", "check", "./swapped.yaml", "--variants", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)["variant_selftests"]
    assert [each["variant"]["precision"] for each in told] == ["fp32", "fp16", "int8"]
    assert {each["test"]["result"]["looks_like"] for each in told} == {"input.colour-order"}


def test_variants_that_see_what_they_should_end_with_0(tmp_path: Path) -> None:
    done = edgedyno("models", "check", "fastestdet", "--variants", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("onnx")] == [
        ["onnx", precision, "ok"] for precision in ("fp32", "fp16", "int8")
    ]


def test_another_number_of_classes_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text("name: few\nextends: fastestdet\nclasses: [person, car]\n")
    done = edgedyno("models", "check", "./few.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: the model has scores for 80 classes, and the profile names 2 (`classes`)" in done.stdout
