"""The self-test on the bundled models: it passes as they are, and names each mistake that is put in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from edgedyno.controller.lab.selftest.sighting import index_of

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import Found, find_profile, names_of
from edgedyno.controller.lab.selftest import run_selftest
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.profile import Expected, InputSpec, KnownImage, ModelProfile, OutputSpec


def found(name: str, **changes: Any) -> Found[ModelProfile]:
    packaged = find_profile(name, ModelProfile, base=Path())
    return Found(msgspec.structs.replace(packaged.profile, **changes), packaged.base, packaged.origin)


def with_input(name: str, **changes: Any) -> Found[ModelProfile]:
    profile = found(name).profile
    return found(name, input=msgspec.structs.replace(profile.input, **changes))


@pytest.mark.parametrize("name", ["fastestdet", "yolox_nano", "yolox_nano_float_stem"])
def test_bundled_models_pass(name: str) -> None:
    result = run_selftest(found(name))
    assert (result.passed, result.lines, result.advice) == (True, [], [])
    assert result.score is not None
    assert result.score > 0.8


@pytest.mark.parametrize("name", ["fastestdet", pytest.param("yolox_nano", marks=pytest.mark.long)])
def test_a_wrong_colour_order_is_named(name: str) -> None:
    result = run_selftest(with_input(name, colour="RGB"))
    assert result.passed is False
    assert "pizza" in result.lines[0]
    assert result.advice[0].startswith("it would pass with `colour: BGR`")


def test_a_wrong_scale_is_named() -> None:
    result = run_selftest(with_input("yolox_nano", std=(255.0, 255.0, 255.0)))
    assert result.passed is False
    assert len(result.lines) == 3
    assert "(pixels as they are)" in result.advice[0]


def test_two_mistakes_at_once_are_named() -> None:
    result = run_selftest(with_input("fastestdet", std=(1.0, 1.0, 1.0), colour="RGB"))
    assert result.passed is False
    assert "`colour: BGR` and " in result.advice[0]
    assert "(pixels / 255)" in result.advice[0]


def test_a_wrong_decoder_is_named() -> None:
    result = run_selftest(found("fastestdet", output=OutputSpec(decoder="yolov8")))
    assert result.passed is False
    assert "decoder 'yolov8'" in result.lines[0]
    assert "`decoder: fastestdet`" in result.advice[0]


def test_classes_in_another_order_show_as_what_is_seen_instead() -> None:
    turned = class_names("coco80", base=Path())[::-1]
    result = run_selftest(found("fastestdet", classes=turned))
    assert result.passed is False
    assert "in its place" in result.lines[0]
    assert "are `classes` in its order?" in result.advice[0]


def test_classes_of_the_users_own_leave_no_test() -> None:
    result = run_selftest(found("fastestdet", classes=["crack", "dent"]))
    assert result.passed is None
    assert "'pizza'" in result.lines[0]


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
    assert (result.passed, result.lines) == (True, [])


@pytest.mark.zoo
def test_a_wrong_unit_of_boxes_is_named(zoo: Path) -> None:
    source = str(zoo / "models/yolov8n/yolov8n_640_from_int8w.onnx")
    spec = msgspec.structs.replace(found("yolov8").profile.input, layout="NHWC")
    result = run_selftest(found("yolov8", source=source, input=spec))
    assert result.passed is False
    assert result.advice[0].startswith("it would pass with `boxes: fraction`")


@pytest.mark.zoo
def test_a_classifiers_mistakes_are_named(zoo: Path) -> None:
    source = str(zoo / "models/squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx")
    spec = msgspec.structs.replace(
        found("squeezenet").profile.input, colour="RGB", mean=(123.0, 117.0, 104.0)
    )
    result = run_selftest(found("squeezenet", source=source, input=spec))
    assert result.passed is False
    assert "expected class 963" in result.lines[0]
    assert result.advice[0].startswith("it would pass with `colour: BGR`")
