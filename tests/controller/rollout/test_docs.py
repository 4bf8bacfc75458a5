"""What docs/rollout.md says to copy is a valid job, and the commands that it names exist."""

from __future__ import annotations

import contextlib
import io
import re
import shlex

import pytest

from edgedyno.cli.main import main
from edgedyno.controller.lab.resolve import load_job
from edgedyno.controller.rollout.check import check_spec
from edgedyno.core.document import decode_yaml
from edgedyno.core.job import JobSpec
from edgedyno.core.rollout import Rollout
from edgedyno.core.targets import BoardSelector, Except
from tests.conftest import ROOT

TEXT = (ROOT / "docs/rollout.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("part", blocks("yaml"))
def test_every_part_of_a_job_is_valid(part: str) -> None:
    spec = decode_yaml(f"name: it\nmodel: fastestdet\n{part}", JobSpec)
    check_spec(spec)
    plain = JobSpec("it", "fastestdet")
    assert spec != plain


def test_every_key_of_rollouts_and_targets_is_told() -> None:
    for kind in (Rollout, BoardSelector, Except):
        for name in kind.__struct_encode_fields__:
            assert re.search(rf"\b{name}\b", TEXT), name


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_every_command_exists_with_its_options(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "edgedyno"
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main([*words[:2], "--help"]) == 0
    for word in words[2:]:
        if word.startswith("--"):
            assert word in shown.getvalue()


def test_the_packaged_job_is_valid() -> None:
    spec = load_job(ROOT / "profiles/edgedyno/profiles/jobs/careful_rollout.yaml")
    check_spec(spec)
    assert spec.rollout is not None
    assert spec.windows
