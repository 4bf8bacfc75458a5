"""The self-test on the bundled models: it passes as they are, and names each mistake that is put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.profiles import Found, find_profile, names_of
from edgedyno.controller.lab.selftest.knowing import index_of, resolve_known
from edgedyno.controller.lab.selftest.running import run_selftest, selftest_lines
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.profile import Expected, InputSpec, KnownImage, ModelProfile


def found(name: str, **changes: Any) -> Found[ModelProfile]:
    packaged = find_profile(name, ModelProfile, base=Path())
    return Found(msgspec.structs.replace(packaged.profile, **changes), packaged.base, packaged.origin)


def with_input(name: str, **changes: Any) -> Found[ModelProfile]:
    profile = found(name).profile
    return found(name, input=msgspec.structs.replace(profile.input, **changes))


@pytest.mark.parametrize("name", ["fastestdet", "yolox_nano"])
def test_bundled_models_pass(name: str) -> None:
    tested = run_selftest(found(name))
    assert tested.passed
    assert tested.result is not None
    assert tested.result.suspect is None
    assert (tested.score or 0) > 0.8
    assert selftest_lines(tested)[0] == "self-test: ok"


def test_a_failure_says_what_it_looks_like_and_the_line_to_change() -> None:
    lines = selftest_lines(run_selftest(with_input("fastestdet", colour="RGB")))
    assert lines[0] == "self-test: failed (input.colour-order)"
    assert "'pizza'" in lines[1]
    assert lines[2] == "  change input.colour: RGB → BGR"


def test_what_cannot_be_used_is_left_out_of_a_job_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = found("fastestdet")
    names = class_names("coco80", base=ours.base)
    wrong = [
        KnownImage("nowhere.jpg", [Expected("pizza")]),
        KnownImage(ours.profile.selftest[0].image, [Expected("piza")]),
    ]
    profile = msgspec.structs.replace(ours.profile, selftest=[*wrong, *ours.profile.selftest])
    known = resolve_known(profile, names, base=ours.base, store=ContentStore(tmp_path))
    assert len(known) == len(ours.profile.selftest)
    assert known[0].expect[0].class_index == names.index("pizza")
    assert "nowhere.jpg" in caplog.text
    assert "did you mean 'pizza'?" in caplog.text


def test_classes_of_the_users_own_leave_no_test() -> None:
    result = run_selftest(found("fastestdet", classes=["crack", "dent"]))
    assert result.passed is None
    assert "'pizza'" in (result.reason or "")
    assert selftest_lines(result)[0] == "self-test: none"


def test_without_known_images_there_is_no_test() -> None:
    assert run_selftest(found("fastestdet", selftest=[])).passed is None


def test_a_template_has_nothing_to_test() -> None:
    with pytest.raises(ConfigError) as caught:
        run_selftest(found("yolov8"))
    assert caught.value.code == "profile.template"


def test_a_missing_known_image_is_said() -> None:
    known = KnownImage("nowhere.jpg", [Expected("pizza", (0, 0, 10, 10))])
    with pytest.raises(ConfigError) as caught:
        run_selftest(found("fastestdet", selftest=[known]))
    assert caught.value.code == "selftest.image"


def test_a_file_that_does_not_load_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(RunError) as caught:
        run_selftest(found("fastestdet", source=str(tmp_path / "bad.onnx")))
    assert caught.value.code == "model.load"


@pytest.mark.parametrize("name", names_of(ModelProfile))
def test_known_images_of_every_profile_are_there_and_in_its_classes(name: str) -> None:
    profile, base = found(name).profile, found(name).base
    names = class_names(profile.classes, base=base)
    assert profile.selftest
    for known in profile.selftest:
        assert (base / known.image).is_file()
        for expected in known.expect:
            index_of(expected, names)
            assert (expected.box is None) == (profile.task == "classify")


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "file", "changes"),
    [
        ("yolov5", "yolov5n/yolov5n_416_fp32.onnx", {"size": (416, 416)}),
        pytest.param("yolov5", "yolov5n/yolov5n_640_fp32.onnx", {}, marks=pytest.mark.long),
        pytest.param(
            "yolov8", "yolov8n/yolov8n_640_from_int8w.onnx", {"layout": "NHWC"}, marks=pytest.mark.long
        ),
        ("yolox", "yolox_nano/yolox_nano_416_fp32.onnx", {"size": (416, 416)}),
        ("squeezenet", "squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx", {}),
    ],
)
def test_templates_fit_real_files(zoo: Path, name: str, file: str, changes: dict[str, Any]) -> None:
    profile = found(name).profile
    spec: InputSpec = msgspec.structs.replace(profile.input, **changes)
    output = profile.output
    if name == "yolov8":  # TensorFlow's exports of Ultralytics have boxes as fractions
        output = msgspec.structs.replace(output, boxes="fraction")
    result = run_selftest(found(name, source=str(zoo / "models" / file), input=spec, output=output))
    assert result.passed, result
