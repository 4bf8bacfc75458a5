"""`results show --profile` over a folder of `edgedyno run`, in 80 columns."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import structs

from edgedyno.cli import results
from edgedyno.cli.output import stderr, stdout
from edgedyno.cli.places import write_results
from edgedyno.core.errors import ConfigError
from edgedyno.core.result import OperatorProfile, OperatorTime
from tests.controller.synthetic import SWEEP, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = "backbone/stage4/a_very_long_name_that_no_terminal_has_room_for/Conv_17"
OPERATORS = [
    OperatorTime("quantize", "QuantizeLinear", "converting", 0.001),
    OperatorTime(LONG, "QLinearConv", "int8", 0.006),
    OperatorTime("conv2", "QLinearConv", "int8", 0.002),
    OperatorTime("softmax", "Softmax", "fp32", 0.001),
]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "80")
    stdout.cache_clear()
    stderr.cache_clear()
    yield
    stdout.cache_clear()
    stderr.cache_clear()


def folder_with(folder: Path, **fields: Any) -> tuple[str, str]:
    """Write a folder of a run with one result; return it and the trial's id."""
    (result,) = Lab().results(SWEEP[5])
    write_results(folder, [structs.replace(result, **fields)])
    return str(folder), result.trial


@pytest.fixture
def profiled(tmp_path: Path) -> tuple[str, str]:
    data = msgspec.json.encode(OperatorProfile("t", "onnxruntime", 20, OPERATORS, "ONNX Runtime's profile"))
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "profiles").mkdir()
    (tmp_path / f"profiles/{sha256}.json").write_bytes(data)
    return folder_with(tmp_path, profile_sha256=sha256)


def test_operators_come_longest_first_with_totals(
    profiled: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, trial = profiled
    results.show(trial[:6], job=folder, url="", as_json=False, profile=True)
    out, words = capsys.readouterr()
    lines = out.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    assert lines[0].split() == ["operator", "type", "precision", "time", "share"]
    assert lines[1].split()[1:] == ["QLinearConv", "int8", "6", "ms", "60.0%"]
    assert lines[1].startswith("…")
    assert LONG.endswith(lines[1].split()[0][1:])
    assert any(line.split() == ["QLinearConv", "2", "8", "ms", "80.0%"] for line in lines)
    assert any(line.split() == ["converting", "1", "1", "ms", "10.0%"] for line in lines)
    assert "operators take 10 ms together" in words
    assert "mean of 20 inferences" in words


def test_top_leaves_out_the_rest_and_says_how_much(
    profiled: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, trial = profiled
    results.show(trial, job=folder, url="", as_json=False, profile=True, top=1)
    out, words = capsys.readouterr()
    assert "softmax" not in out
    assert "and 3 more, 40.0% of the time" in words


def test_json_is_the_profile(profiled: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, trial = profiled
    results.show(trial, job=folder, url="", as_json=True, profile=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert [each["seconds"] for each in found["operators"]] == [0.001, 0.006, 0.002, 0.001]


def test_profile_that_is_not_there_says_why(tmp_path: Path) -> None:
    folder, trial = folder_with(tmp_path, profile_reason="profile.unsupported: no times")
    with pytest.raises(ConfigError, match=r"profile\.unsupported: no times"):
        results.show(trial, job=folder, url="", as_json=False, profile=True)
    folder, trial = folder_with(tmp_path)
    with pytest.raises(ConfigError, match="profile: true"):
        results.show(trial, job=folder, url="", as_json=False, profile=True)
    folder, trial = folder_with(tmp_path, profile_sha256="0" * 64)
    with pytest.raises(ConfigError, match="No such file"):
        results.show(trial, job=folder, url="", as_json=False, profile=True)


def test_without_profile_the_folder_shows_every_field(
    profiled: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, trial = profiled
    results.show(trial, job=folder, url="", as_json=False)
    assert "profile_sha256" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no result has the trial id"):
        results.show("zzz", job=folder, url="", as_json=False)
