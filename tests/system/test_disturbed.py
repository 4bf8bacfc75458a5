"""`edgedyno run` while other processes take the cores: void, with the reason before the user's eyes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = """\
name: disturbed
model: fastestdet
sweep: {precisions: [fp32], threads: [1, all]}
measure: {precision: 2%, max_seconds: 10}
"""


@contextmanager
def load_on_every_core() -> Iterator[None]:
    """Do what `stress-ng --cpu N` does: one busy process for each CPU."""
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_under_load_every_trial_is_void_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    command = [sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out"]
    with load_on_every_core():
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert len(records) == 2
    for record in records:
        assert not record["validity"]["valid"]
        assert record["validity"]["reasons"]
    said = " ".join(done.stdout.split())
    assert "void" in said
    assert "other processes took" in said or "waited for a CPU" in said
    assert "recommended" not in [
        record.get("status")
        for record in json.loads((tmp_path / "out/verdict.json").read_text())[0]["choices"]
    ]
