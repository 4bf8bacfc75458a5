"""What a long run is told wrongly is refused before it begins."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "wrong", "told"),
    [
        ("tests.chaos", "--faults=abc", "found 'abc', expected a whole number, at least 0"),
        ("tests.chaos", "--boards=0", "found '0', expected a whole number, at least 1"),
        ("tests.chaos", "--kind=agent kiled", "did you mean 'agent killed'?"),
        ("tests.chaos", "--replicas=3", "found '3', expected a number from 0 to 1"),
        ("tests.chaos", "--wait=soon", "found 'soon', expected a number from 0 to 3600"),
        ("tests.chaos", "--keep=tests", "tests holds files, expected a new folder"),
        ("tests.hostile", "--inputs=-4", "found '-4', expected a whole number, at least 1"),
        ("tests.hostile", "--target=imgae", "did you mean 'image'?"),
    ],
)
def test_wrong_options_are_refused_at_once(module: str, wrong: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, wrong], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not done.stdout


def test_power_cuts_alone() -> None:
    nothing = [sys.executable, "-m", "tests.chaos", "--faults", "0", "--cuts", "20", "--seed", "3"]
    done = subprocess.run(nothing, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "seed 3: 20 power cuts" in done.stdout
