"""`edgedyno compare` on two folders as `edgedyno run` writes them; their results are synthetic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.places import write_results
from edgedyno.controller.lab.verdict import judge
from edgedyno.core.job import JobSpec
from tests.cli.test_main import edgedyno
from tests.controller.synthetic import SWEEP, Lab

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.controller.synthetic import Trial


def folder(path: Path, trials: Sequence[Trial], seed: int) -> Path:
    lab = Lab(seed=seed)
    results = lab.results(*trials)
    write_results(path, results)
    verdicts = judge(results, spec=JobSpec(name="synthetic", model="synthetic_net"), read=lab.read)
    (path / "verdict.json").write_bytes(msgspec.json.encode(verdicts))
    return path


def test_runs_that_agree_end_with_0_and_others_with_1(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", SWEEP, 1), folder(tmp_path / "b", SWEEP, 2)
    done = edgedyno("compare", str(first), str(second / "results.jsonl"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("agree within their intervals") == len(SWEEP)
    assert "verdict on synthetic_net: the same: use FP16 · 2 threads" in done.stdout
    assert "were not interleaved" in done.stderr
    third = folder(tmp_path / "c", [*SWEEP[:3], *SWEEP[4:]], 3)
    done = edgedyno("compare", str(first), str(third), "--json")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["agrees"] is False
    assert said["left_out"] == 1
    assert said["verdicts"][0]["same"] is False


def test_folders_with_nothing_in_common_are_a_mistake(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "a", SWEEP[:1], 1), folder(tmp_path / "b", SWEEP[1:2], 2)
    done = edgedyno("compare", str(first), str(second))
    assert done.returncode == 2
    assert "have no trial in common" in done.stderr
