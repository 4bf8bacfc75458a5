"""`edgedyno models build` and `check`, as a user calls them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.controller.lab import tiny

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.profile import DatasetProfile, ModelProfile


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """Return a folder with the tiny model, its images and their profiles."""
    folder = tiny.write_all(tmp_path)
    _write(folder / "tiny.yaml", tiny.model_profile())
    _write(folder / "colours.yaml", tiny.dataset_profile())
    return folder


def _write(path: Path, profile: ModelProfile | DatasetProfile) -> None:
    path.write_bytes(msgspec.yaml.encode(profile))


def _models(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("EDGEDYNO_CACHE", str(cwd / "cache"))
    monkeypatch.setenv("EDGEDYNO_STATE_DIR", str(cwd / "state"))
    return subprocess.run(
        [sys.executable, "-m", "edgedyno.cli.main", "models", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
    )


def test_one_failed_variant_does_not_end_the_others(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _models(
        "build",
        "./tiny.yaml",
        "--dataset",
        "./colours.yaml",
        "--formats",
        "onnx,mnn",
        "--precisions",
        "fp32,int8",
        "--json",
        cwd=user,
        monkeypatch=monkeypatch,
    )
    assert done.returncode == 1, done.stderr
    rows = msgspec.json.decode(done.stdout)
    kinds = [(row["variant"]["format"], row["variant"]["precision"]) for row in rows]
    assert kinds == [("onnx", "fp32"), ("onnx", "int8"), ("mnn", "fp32"), ("mnn", "int8")]
    for row in rows[:2]:
        assert (user / row["path"]).stat().st_size == row["variant"]["file"]["size_bytes"]
        assert row["score"]["accuracy"]["value"] == 1.0
        assert row["score"]["runtime"] == "onnxruntime"
        assert row["score"]["effective_precision"] == row["variant"]["precision"]
    assert rows[1]["score"]["drop"]["value"] == 0.0
    for row in rows[2:]:
        assert row["variant"]["failure"]["code"] == "builder.missing"
        assert row["score"]["reason"] == "there is no file"
    assert "building onnx int8 (2 of 4)" in done.stderr


def test_what_cannot_be_built_or_scored_is_told_beside_the_table(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _models(
        "build", "./tiny.yaml", "--precisions", "fp32", "--out", "here", cwd=user, monkeypatch=monkeypatch
    )
    assert done.returncode == 0, done.stderr
    assert "tiny_fp32.onnx" in done.stdout
    assert (user / "here" / "tiny_fp32.onnx").is_file()
    assert "not building ncnn: no interpreter with the tools for ncnn" in done.stderr
    assert "onnx fp32: no accuracy: no data set with labels was named" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--formats", "onxx"], "--formats: found 'onxx'"),
        (["--precisions", "int4"], "--precisions: found 'int4'"),
        (["--builder", "ncnn"], "--builder: found 'ncnn'"),
        (["--builder", "ncnn=/nowhere/python"], "--builder: found"),
    ],
)
def test_usage_is_checked_before_anything_is_built(
    user: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    done = _models("build", "./tiny.yaml", *arguments, cwd=user, monkeypatch=monkeypatch)
    assert done.returncode == 2
    assert words in done.stderr


def test_check_tells_of_a_file_and_ends_with_1_where_nothing_runs_it(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = _models("check", "tiny.onnx", "--model", "./tiny.yaml", cwd=user, monkeypatch=monkeypatch)
    assert good.returncode == 0, good.stderr
    assert "image float32 1x3x16x16 NCHW" in good.stdout
    (user / "tiny.tflite").write_bytes(b"<!DOCTYPE html>")
    bad = _models("check", "tiny.tflite", "--json", cwd=user, monkeypatch=monkeypatch)
    assert bad.returncode == 1
    assert {trip["code"] for trip in msgspec.json.decode(bad.stdout)["trips"]} == {
        "model.format",
        "model.name",
    }
    other = _models("check", "tiny.onnx", "--model", "yolox_nano", cwd=user, monkeypatch=monkeypatch)
    assert other.returncode == 1
    assert "input.shape" in other.stdout


def test_check_tells_of_a_profile(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = _models("check", "./tiny.yaml", "--json", cwd=user, monkeypatch=monkeypatch)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout)["name"] == "tiny"
