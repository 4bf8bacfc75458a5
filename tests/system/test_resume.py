"""`edgedyno run` that is interrupted goes on with the same command."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.conftest import wait_until

if TYPE_CHECKING:
    from pathlib import Path

JOB = """\
name: resumed
model: fastestdet
sweep: {precisions: [fp32], threads: [1]}
measure: {precision: 0.1%, max_seconds: 12}
"""


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    command = [sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out"]
    log = tmp_path / "first.log"
    with (
        log.open("wb") as errors,
        # A shell that runs the tests in the background has Ctrl-C ignored, and children inherit that.
        subprocess.Popen(command, cwd=tmp_path, stderr=errors, preexec_fn=_heed_interrupts) as first,  # noqa: PLW1509
    ):
        wait_until(lambda: "resumed: measure" in log.read_text(), seconds=90, what="measuring")
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 130
    assert "the same command goes on from here" in log.read_text()
    assert not (tmp_path / "out" / "results.jsonl").exists()

    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode in (0, 1), again.stderr  # 1 on a machine that is busy with other work
    assert "going on with an interrupted run" in again.stderr
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 1
