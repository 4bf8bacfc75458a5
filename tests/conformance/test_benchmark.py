"""benchmarks/runtimes.py prints its table: real jobs, of seconds, so its figures mean nothing here."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_table_has_a_row_for_each_trial() -> None:
    arguments = "--seconds 2 --models fastestdet --threads 1 --runtimes onnxruntime --precisions fp32,fp16"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/runtimes.py"), *arguments.split()],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| onnxruntime")]
    assert [(cells[1], cells[2], cells[4]) for cells in rows] == [
        ("fp32", "fp32", "1"),
        ("fp16", "fp32", "1"),
    ]
    assert all(float(cells[5].split()[0]) > 0 for cells in rows)
    assert all(0.2 < float(cells[8]) < 0.3 for cells in rows)
