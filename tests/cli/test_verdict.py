"""`edgedyno verdict` on folders as `edgedyno run` writes them; their results are synthetic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.cli.places import write_results
from edgedyno.cli.verdict import known_language
from edgedyno.controller.lab.verdict import judge
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec, Require
from edgedyno.core.manifest import ArtifactRef, ResolvedJob
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from tests.cli.test_main import edgedyno
from tests.controller.synthetic import SWEEP, Lab, Trial
from tests.controller.verdict.test_judging import COLLAPSED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OPEN = Trial("int8", 2, 0.0090, 0.236, (0.006, -0.01, 0.03))


def folder(
    path: Path, trials: Sequence[Trial], *, model: str = "synthetic_net", board: str = "pi", seed: int = 1
) -> Path:
    lab = Lab(seed=seed, board=board)
    results = lab.results(*trials, model=model)
    spec = JobSpec(name="synthetic", model=model, require=Require(accuracy_drop=0.01))
    profile = ModelProfile(
        name=model, task="detect", input=InputSpec(size=(352, 352)), output=OutputSpec(decoder="fastestdet")
    )
    resolved = ResolvedJob(spec, profile, ArtifactRef("0" * 64, 1, "net.onnx"), class_names=["a"])
    write_results(path, results)
    (path / "samples").mkdir()
    for sha, data in lab.artifacts.items():
        (path / "samples" / f"{sha}.json").write_bytes(data)
    (path / "job.json").write_bytes(msgspec.json.encode(resolved))
    verdicts = judge(results, spec=spec, read=lab.read)
    (path / "verdict.json").write_bytes(msgspec.json.encode(verdicts))
    return path


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")


@pytest.mark.usefixtures("english")
def test_several_models_are_told_in_short_first(tmp_path: Path) -> None:
    clear = folder(tmp_path / "a", [SWEEP[1], COLLAPSED], model="clear_net")
    undecided = folder(tmp_path / "b", [SWEEP[1], OPEN], model="open_net")
    hopeless = folder(tmp_path / "c", [COLLAPSED], model="bad_net")
    done = edgedyno("verdict", str(clear), str(undecided), str(hopeless))
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    short = " ".join(" ".join(lines[: lines.index("clear_net on pi: RECOMMENDED")]).split())
    assert short == (
        "In short clear_net use FP32 · 2 threads; INT8: rejected (accuracy drop 21.2 pt, limit 1 pt) open_net use "
        "FP32 · 2 threads; INT8: cannot tell, about 860 more images needed bad_net none meets; nearest is INT8 · 2 "
        "threads: accuracy drop 21.2 pt, limit 1 pt"
    )
    assert max(map(len, lines)) <= 80
    assert edgedyno("verdict", str(clear), str(undecided)).returncode == 0


@pytest.mark.usefixtures("english")
def test_folders_of_several_boards_give_a_verdict_over_all_of_them(tmp_path: Path) -> None:
    one = folder(tmp_path / "a", SWEEP[:2], board="pi")
    other = folder(tmp_path / "b", SWEEP[:2], board="rock", seed=2)
    done = edgedyno("verdict", str(one), str(other))
    assert done.returncode == 0, done.stderr
    assert "synthetic_net on all 2 boards: RECOMMENDED" in done.stdout
    said = json.loads(edgedyno("verdict", str(one), str(other), "--json").stdout)
    assert [verdict["board"] for verdict in said["verdicts"]] == ["pi", "rock"]
    (group,) = said["groups"]
    assert group["recommended"] == "FP32 · 2 threads"


def test_another_language_is_spoken_throughout(tmp_path: Path) -> None:
    place = folder(tmp_path / "a", [SWEEP[1], COLLAPSED])
    done = edgedyno("verdict", str(place), "--language", "zh")
    assert done.returncode == 0, done.stderr
    assert "RECOMMENDED" not in done.stdout
    assert "synthetic_net" in done.stdout
    assert edgedyno("verdict", str(place), "--language", "tlh").returncode == 2


@pytest.mark.usefixtures("english")
def test_the_report_is_written_and_its_place_told_where_there_is_no_desktop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    place, page = folder(tmp_path / "a", SWEEP[:2]), tmp_path / "page.html"
    done = edgedyno("verdict", str(place), "--report", str(page), "--open")
    assert done.returncode == 0, done.stderr
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    assert "no desktop here" in done.stderr
    assert str(page) in done.stderr


@pytest.mark.usefixtures("english")
def test_the_report_of_a_folder(tmp_path: Path) -> None:
    place, elsewhere = folder(tmp_path / "a", SWEEP[:2]), tmp_path / "zh.html"
    done = edgedyno("report", str(place))
    assert done.returncode == 0, done.stderr
    assert '<html lang="en">' in (place / "report.html").read_text()
    done = edgedyno("report", str(place), "--language", "zh", "--no-images", "--out", str(elsewhere))
    assert done.returncode == 0, done.stderr
    page = elsewhere.read_text()
    assert '<html lang="zh-CN">' in page
    assert "已按要求不包含数据集图像" in page
    assert edgedyno("report", str(place), "--language", "tlh").returncode == 2


@pytest.mark.usefixtures("english")
def test_one_page_for_several_folders_has_the_verdict_over_their_boards(tmp_path: Path) -> None:
    places = [
        folder(tmp_path / name, SWEEP[:2], board=board, seed=seed)
        for seed, (name, board) in enumerate((("a", "pi"), ("b", "rock")))
    ]
    page = tmp_path / "both.html"
    done = edgedyno("verdict", *map(str, places), "--report", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "The answers at a glance" in text
    assert text.count("synthetic_net on all 2 boards") == 2  # a heading and its label
    assert text.index("synthetic_net on all 2 boards") < text.index('id="job0board0-answer"')


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_systems_language_is_the_default(
    variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert known_language(None) == language
    with pytest.raises(ConfigError, match="expected one of en, zh"):
        known_language("tlh")


def test_a_folder_without_a_verdict_is_a_mistake(tmp_path: Path) -> None:
    done = edgedyno("verdict", str(tmp_path))
    assert done.returncode == 2
    assert "no verdict here" in done.stderr
