"""What the documents say to copy is run, as it stands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, get_args

import pytest

from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import load_job, resolve_job
from edgedyno.core.document import decode_yaml
from edgedyno.core.job import Goal, JobSpec, Require
from edgedyno.core.profile import DatasetProfile, ModelProfile
from edgedyno.core.result import Fidelity, ImagesShown, Result, SelfTest, ThreadsCheck
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


def test_the_guides_name_every_requirement_goal_and_field_of_a_result() -> None:
    jobs, results = ((ROOT / "docs" / name).read_text() for name in ("jobs.md", "results.md"))
    (goals,) = [line for line in jobs.splitlines() if line.startswith("| `goal` |")]
    assert {f"`{goal}`" for goal in get_args(Goal)} <= set(re.findall(r"`[a-z]+`", goals))
    (require,) = [line for line in jobs.splitlines() if line.startswith("| `require` |")]
    assert [name for name in Require.__struct_fields__ if f"`{name}`" not in require] == []
    rightness = ("accuracy", "accuracy_drop", "fidelity", "selftest", "threads_check", "images")
    told = {
        "outputs",
        "agreement",
        "passed",
        "looks_like",
        "changes",
        "suspect",
        "identical",
        "rounding_only",
    }
    known = {
        *Result.__struct_fields__,
        *(
            name
            for kind in (Fidelity, SelfTest, ThreadsCheck, ImagesShown)
            for name in kind.__struct_fields__
        ),
    }
    for name in (*rightness, *told, *ImagesShown.__struct_fields__):
        assert name in known
        assert f"`{name}`" in results, name


def test_what_the_job_guide_says_of_data_sets_is_found(tmp_path: Path) -> None:
    """Each way to name a data set, on a folder of the bundled images with their labels beside them."""
    source = ROOT / "profiles/edgedyno/profiles/samples/data/coco_ccby"
    for folder in ("my-coco", "photos", "others"):
        shutil.copytree(source / "images", tmp_path / folder)
    (tmp_path / "my-coco/annotations").mkdir()
    shutil.copy(source / "instances.json", tmp_path / "my-coco/annotations/val.json")
    found = {}
    rows = re.findall(
        r"^\| `([^`|]*)`(?:, `[^|]*)?(?: without labels)? \|",
        (ROOT / "docs/jobs.md").read_text(),
        re.MULTILINE,
    )
    for wanted in (row for row in rows if row.startswith(("coco_ccby", "./", "{name"))):
        job = decode_yaml(f"name: it\nmodel: fastestdet\ndataset: {wanted}\n", JobSpec)
        resolved = resolve_job(job, base=tmp_path, store=ContentStore(tmp_path / "store"))
        found[wanted] = (len(resolved.images), resolved.annotations is not None, len(resolved.calibration))
    assert list(found.values()) == [
        (17, True, 24),
        (17, True, 0),
        (17, True, 0),
        (17, False, 0),
        (17, False, 17),
    ], found


def test_the_jobs_that_the_verdict_guide_runs_are_there() -> None:
    named = [
        word for block in blocks("docs/verdict.md", "sh") for word in block.split() if word.endswith(".yaml")
    ]
    assert len(named) >= 2
    for name in named:
        assert load_job(ROOT / name).require.accuracy_drop == 0.01


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
