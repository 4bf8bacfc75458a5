"""SUPPORTED.md is what the recorded boards and the profiles say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_is_current() -> None:
    command = [sys.executable, str(ROOT / "scripts/supported.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_recording_is_a_row() -> None:
    text = (ROOT / "SUPPORTED.md").read_text()
    for folder in (ROOT / "tests/fixtures/boards").iterdir():
        if folder.is_dir():
            assert f"| `{folder.name}` |" in text
