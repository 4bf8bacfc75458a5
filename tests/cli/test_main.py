"""The command line's contract: help, exit codes, where errors go."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import free_port

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = (
    "run",
    "up",
    "agent",
    "jobs",
    "boards",
    "results",
    "verdict",
    "compare",
    "report",
    "models",
    "controller",
)


def edgedyno(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "edgedyno.cli.main", *arguments],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


def test_help_begins_with_examples_and_names_every_command_and_exit_code() -> None:
    done = edgedyno("--help")
    assert done.returncode == 0
    assert "edgedyno run job.yaml" in done.stdout
    for word in (*COMMANDS, "config", "Exit codes: 0 ok; 1 the run failed", "130 interrupted"):
        assert word in done.stdout


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c not in ("run", "up", "verdict", "compare", "report")]
)
def test_every_group_has_help(command: str) -> None:
    done = edgedyno(command, "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("rum",), ("run",), ("jobs", "submit"), ("run", "x.yaml", "--fast")])
def test_usage_errors_exit_with_2(arguments: tuple[str, ...]) -> None:
    done = edgedyno(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from edgedyno.cli.main import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in ('numpy', 'rich', 'httpx', 'onnx', 'paho') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.rstrip().endswith("[]"), done.stdout[-200:]


def test_a_job_with_mistakes_exits_with_2_and_names_each_place(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "name: a\nmodel: yolox_nano\nsweep: {precisions: [int4], thread: [1]}\n"
    )
    done = edgedyno("run", "job.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "job.yaml:3: sweep.precisions[0]: found 'int4', expected" in done.stderr
    assert "did you mean 'threads'?" in done.stderr
    assert done.stdout == ""


def test_a_missing_job_file_exits_with_2(tmp_path: Path) -> None:
    done = edgedyno("run", "nothing.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing.yaml" in done.stderr


def test_a_folder_that_cannot_be_is_named_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "job.yaml").write_text("name: a\nmodel: fastestdet\n")
    done = edgedyno("run", "job.yaml", "--out", "file", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("error: --out: file: expected a folder")


def test_no_controller_exits_with_3_and_says_what_to_do() -> None:
    done = edgedyno("boards", "list", "--controller", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "edgedyno up" in done.stderr


def test_a_bad_address_exits_with_2() -> None:
    done = edgedyno("jobs", "list", "--controller", "nonsense")
    assert done.returncode == 2
    assert "expected http://HOST:PORT" in done.stderr
