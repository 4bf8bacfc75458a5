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
