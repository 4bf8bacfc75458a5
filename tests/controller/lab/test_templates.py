"""Profiles that extend others: what is merged, what is left behind, and what leads nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.lab.profiles import Found, find_profile, packaged
from edgedyno.controller.lab.resolve import load_job, resolve_job
from edgedyno.core.errors import ConfigError
from edgedyno.core.profile import ModelProfile

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def find(folder: Path, text: str) -> Found[ModelProfile]:
    return find_profile(str(write(folder, text)), ModelProfile, base=folder)


def error(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        find(folder, text)
    return caught.value


def test_a_template_gives_what_is_left_out(tmp_path: Path) -> None:
    profile = find(tmp_path, "extends: yolov8\nsource: my.onnx\ninput: {size: [320, 320]}\n").profile
    assert (profile.name, profile.source, profile.extends) == ("yolov8", "my.onnx", None)
    assert (profile.input.size, profile.input.colour, profile.input.pad) == ((320, 320), "RGB", 114)
    assert profile.output.decoder == "yolov8"
    assert len(profile.selftest) == 4


def test_a_job_extends_a_profile_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, "name: j\nmodel: {extends: yolo11, source: my.onnx, name: mine}\n", "job.yaml")
    model = load_job(path).model
    assert isinstance(model, ModelProfile)
    assert (model.name, model.source, model.output.decoder) == ("mine", "my.onnx", "yolov8")


def test_paths_of_a_packaged_profile_still_lead_to_its_files(tmp_path: Path) -> None:
    found = find(tmp_path, "extends: fastestdet\nname: other\nquantize: {exclude: []}\n")
    assert (found.base / found.profile.source).is_file()
    assert found.profile.quantize.exclude == []
    assert all((found.base / known.image).is_file() for known in found.profile.selftest)


def test_another_file_has_another_hash(tmp_path: Path) -> None:
    assert find(tmp_path, "extends: fastestdet\n").profile.sha256 is not None
    assert find(tmp_path, "extends: fastestdet\nsource: my.onnx\n").profile.sha256 is None


def test_other_classes_leave_the_known_images_behind(tmp_path: Path) -> None:
    profile = find(tmp_path, "extends: yolov8\nsource: my.onnx\nclasses: [crack, dent]\n").profile
    assert (profile.classes, profile.selftest) == (["crack", "dent"], [])


def test_profiles_of_the_users_own_are_extended_by_path(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", "extends: yolov8\nsource: base.onnx\nclasses: names.txt\n", "base.yaml")
    write(tmp_path / "deep", "crack\ndent\n", "names.txt")
    profile = find(tmp_path, "extends: deep/base.yaml\nname: third\n").profile
    assert profile.source == str(tmp_path / "deep/base.onnx")
    assert profile.classes == str(tmp_path / "deep/names.txt")


def test_an_unknown_template_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = error(tmp_path, "extends: yolo8\nsource: my.onnx\n")
    assert found.code == "profile.unknown"
    assert "did you mean 'yolov8'" in str(found)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    found = error(tmp_path, "extends: ./mine.yaml\n")
    assert found.code == "profile.extends"


def test_mistakes_have_their_line_though_the_rest_comes_from_elsewhere(tmp_path: Path) -> None:
    text = "extends: yolov8\nsource: my.onnx\ninput:\n  size: [640, 640]\n  color: BGR\n"
    assert "mine.yaml:5: input.color: found the unknown key 'color'; did you mean 'colour'?" in str(
        error(tmp_path, text)
    )


def test_a_misspelt_extends_is_named(tmp_path: Path) -> None:
    assert "did you mean 'extends'?" in str(error(tmp_path, "extend: yolov8\nsource: my.onnx\n"))


def test_a_template_alone_cannot_be_run(tmp_path: Path, store: ContentStore) -> None:
    job = load_job(write(tmp_path, "name: j\nmodel: yolov8\n", "job.yaml"))
    with pytest.raises(ConfigError, match=r"extends: yolov8, source: my\.onnx") as caught:
        resolve_job(job, base=tmp_path, store=store)
    assert caught.value.code == "profile.template"


def test_a_template_with_a_file_is_resolved(tmp_path: Path, store: ContentStore) -> None:
    source = packaged("samples") / "models/yolox_nano/yolox_nano_416_fp32.onnx"
    text = f"name: j\nmodel: {{extends: yolox, source: '{source}', input: {{size: [416, 416]}}}}\n"
    resolved = resolve_job(load_job(write(tmp_path, text, "job.yaml")), base=tmp_path, store=store)
    assert resolved.class_names[0] == "person"
    assert resolved.source.size_bytes == source.stat().st_size


@pytest.mark.zoo
def test_the_exclusion_of_yolov5_finds_its_tail(zoo: Path, tmp_path: Path, store: ContentStore) -> None:
    import onnx

    from edgedyno.controller.lab.source import check_exclude

    patterns = find_profile("yolov5", ModelProfile, base=tmp_path).profile.quantize.exclude
    model = onnx.load(zoo / "models/yolov5n/yolov5n_640_fp32.onnx")
    excluded = set(check_exclude(model, patterns))
    types = {node.op_type for node in model.graph.node if excluded.intersection(node.output)}
    assert "Conv" not in types
    assert {"Sigmoid", "Mul", "Add", "Concat"} <= types
    assert "output0" in excluded
