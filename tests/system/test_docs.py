"""What the documents say to copy is run, as it stands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edgedyno.core.document import decode_yaml
from edgedyno.core.job import JobSpec
from edgedyno.core.profile import DatasetProfile, ModelProfile
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

READMES = ("README.md", "README.zh-CN.md")


def blocks(document: str, language: str) -> list[str]:
    """Return the fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def test_the_yaml_of_the_job_guide_is_valid() -> None:
    job, model, dataset = blocks("docs/jobs.md", "yaml")
    assert decode_yaml(job, JobSpec).name == "yolox-int8-or-fp16"
    assert decode_yaml(model, ModelProfile).output.decoder == "yolox"
    assert decode_yaml(dataset, DatasetProfile).calibration == "calibration"


@pytest.mark.parametrize("document", READMES)
def test_commands_of_the_readme_exist(document: str) -> None:
    for block in blocks(document, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["edgedyno"]:
                command = [word for word in words[1:3] if re.fullmatch(r"[a-z]+", word)]
                done = subprocess.run(
                    [sys.executable, "-m", "edgedyno.cli.main", *command, "--help"],
                    capture_output=True, timeout=60, check=False,
                )  # fmt: skip
                assert done.returncode == 0, line
            elif words:
                assert (ROOT / words[0]).exists(), line


def test_the_readmes_say_the_same_commands() -> None:
    def without_comments(document: str) -> list[list[str]]:
        return [
            shlex.split(line, comments=True)
            for block in blocks(document, "sh")
            for line in block.splitlines()
        ]

    assert without_comments(READMES[0]) == without_comments(READMES[1])


def test_the_job_of_the_readme_runs_and_gives_a_verdict(tmp_path: Path) -> None:
    (text,) = blocks("README.md", "yaml")
    (tmp_path / "job.yaml").write_text(text)
    command = [sys.executable, "-m", "edgedyno.cli.main"]
    done = subprocess.run(
        [*command, "run", "job.yaml", "--out", "results"],
        cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    again = subprocess.run(
        [*command, "verdict", "results", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == again.returncode, done.stderr + again.stderr
    (verdict,) = json.loads(again.stdout)["verdicts"]
    # A machine that is busy with other work voids the trials, and then nothing is recommended.
    assert done.returncode == (0 if verdict["answer"] == "recommended" else 1)
    assert "<svg" in (tmp_path / "results" / "report.html").read_text()
    assert len((tmp_path / "results" / "results.jsonl").read_text().splitlines()) == 6
