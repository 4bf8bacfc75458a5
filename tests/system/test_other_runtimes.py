"""`edgedyno run` with runtimes in two environments."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.agent.runtimes import foreign

if TYPE_CHECKING:
    from pathlib import Path

JOB = """\
name: two
model: fastestdet
sweep: {runtimes: [openvino, onnxruntime], precisions: [fp32], threads: [1]}
measure: {precision: 50%, max_seconds: 2}
"""


def test_a_job_runs_on_runtimes_of_two_environments(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out"),
            *("--python", f"default={sys.executable}", "--python", f"others={foreign.interpreter()}"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr  # 1 on a machine that is busy with other work
    lines = (tmp_path / "out/results.jsonl").read_text().splitlines()
    results = {result["runtime"]: result for result in map(json.loads, lines)}
    assert set(results) == {"openvino", "onnxruntime"}
    assert {result["status"] for result in results.values()} == {"ok"}
    assert "openvino" in done.stdout
