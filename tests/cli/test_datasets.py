"""`edgedyno datasets`: what it prints, as words and as JSON, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.controller.datasets.layouts import instances, picture, write_coco

if TYPE_CHECKING:
    from pathlib import Path


def _edgedyno(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgedyno.cli.main", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_bundled_set_is_listed_and_checked(tmp_path: Path) -> None:
    (listed,) = json.loads(_edgedyno("datasets", "list", "--json", folder=tmp_path).stdout)
    assert listed["name"] == "coco_ccby"
    done = _edgedyno("datasets", "check", "coco_ccby", "--model", "yolox_nano", folder=tmp_path)
    assert done.returncode == 0
    assert "17 images cannot settle a drop of 1 pt" in done.stdout
    assert "person" in done.stdout


def test_a_folder_is_checked_as_it_is_and_errors_end_with_one(tmp_path: Path) -> None:
    write_coco(tmp_path / "set")
    done = _edgedyno("datasets", "check", "set", "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, found["name"], found["images"], found["labels"]) == (0, "set", 2, 2)
    for number in (1, 2):
        (tmp_path / f"set/images/{number}.png").unlink()
    picture(tmp_path / "set/images/other.png")
    done = _edgedyno("datasets", "check", "set", "--json", folder=tmp_path)
    codes = {finding["code"]: finding["offenders"] for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, len(codes["dataset.image-missing"])) == (1, 2)
    told = _edgedyno("datasets", "check", "set", folder=tmp_path)
    assert (told.returncode, "not usable: 2 kinds of error" in told.stdout) == (1, True)


def test_what_cannot_be_read_ends_with_two_and_its_place(tmp_path: Path) -> None:
    write_coco(tmp_path / "set")
    (tmp_path / "set/instances.json").write_text('{"images": [')
    done = _edgedyno("datasets", "check", "./set/instances.json", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "set/instances.json: not JSON" in done.stderr
    nowhere = _edgedyno("datasets", "check", "./nowhere", folder=tmp_path)
    assert (nowhere.returncode, "there is nothing at" in nowhere.stderr) == (2, True)


def test_warnings_of_a_job_go_to_stderr(tmp_path: Path) -> None:
    labels = instances(categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "unicorn"}])
    write_coco(tmp_path / "set", labels)
    done = _edgedyno(
        "models", "build", "fastestdet", "--dataset", "set", "--formats", "onnx", "--precisions", "fp32",
        "--no-score", "--json", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning: classes that the model does not have" in done.stderr
    assert "unicorn (1 label)" in done.stderr
    json.loads(done.stdout)


def test_a_task_to_come_is_refused_in_clear_words(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ntask: pose\nsource: mine.onnx\n")
    done = _edgedyno("models", "check", "mine.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "task 'pose' is not supported yet; supported: detect, classify" in done.stderr
