"""The self-test names each fault that is put into a real model or its profile, and nothing where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace

from edgedyno.core.errors import RunError
from edgedyno.core.vision.selftest import InputTensor, Shown, examine, survey
from edgedyno.core.vision.selftest.symptoms import Spread, Traits, clipped, coarse, unfit_input
from tests import faults
from tests.core.vision.selftests import Real, infers, reading

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def fast() -> Real:
    return Real("fastestdet")


@pytest.fixture(scope="module")
def nano() -> Real:
    return Real("yolox_nano")


def judged(real: Real, data: bytes | None = None, profile: Any = None, **more: Any) -> Any:
    return examine(
        infers(data or real.data), reading(profile or real.profile), real.shown, names=real.names, **more
    ).selftest


def test_what_is_right_passes_with_two_inferences_an_image(fast: Real) -> None:
    counted: list[int] = []
    found = examine(infers(fast.data, counted), reading(fast.profile), fast.shown).selftest
    assert (found.passed, found.looks_like, found.suspect) == (True, None, None)
    assert len(counted) == 2 * len(fast.shown)


def test_another_variant_passes_with_one_inference_an_image(fast: Real) -> None:
    first = examine(infers(fast.data), reading(fast.profile), fast.shown)
    counted: list[int] = []
    found = examine(
        infers(fast.data, counted),
        reading(fast.profile),
        fast.shown,
        reference=first.reference,
        strict=False,
    )
    assert found.selftest.passed
    assert len(counted) == len(fast.shown)


@pytest.mark.parametrize("name", ["fast", "nano"])
def test_a_wrong_colour_order(name: str, request: pytest.FixtureRequest) -> None:
    real: Real = request.getfixturevalue(name)
    found = judged(real, profile=faults.other_colours(real.profile))
    assert found.looks_like == "input.colour-order"
    assert found.changes == ["input.colour: RGB → BGR"]
    assert "000000160012.jpg: expected 'pizza'" in found.text


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (faults.other_scale, "input.scale", "input.std: [1, 1, 1] → [255, 255, 255]"),
        (
            faults.with_input(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
            "input.scale",
            "input.mean: [123.675, 116.28, 103.53] → [0, 0, 0]",
        ),
        (
            faults.with_input(mean=(127.5,) * 3, std=(127.5,) * 3),
            "input.scale",
            "input.std: [127.5, 127.5, 127.5] → [255, 255, 255]",
        ),
        (faults.with_output(decoder="yolov8"), "output.decoder", "output.decoder: yolov8 → fastestdet"),
        (
            faults.with_input(layout="NHWC"),
            "input.layout",
            "input.layout: NHWC → NCHW",
        ),
    ],
)
def test_a_wrong_profile_of_fastestdet(fast: Real, change: Any, code: str, line: str) -> None:
    def infer(tensor: Any) -> list[Any]:
        try:
            return list(ours(tensor))
        except Exception as error:
            raise RunError(str(error), code="input.shape") from error

    ours = infers(fast.data)
    found = examine(infer, reading(change(fast.profile)), fast.shown).selftest
    assert (found.passed, found.looks_like) == (False, code)
    assert line in found.changes


def test_stretching_what_was_trained_with_a_letterbox(nano: Real) -> None:
    found = judged(nano, profile=faults.with_input(resize="stretch")(nano.profile))
    assert found.looks_like == "input.resize"
    assert "elephant" in found.text


def test_two_mistakes_at_once(fast: Real) -> None:
    profile = faults.with_input(colour="RGB", std=(1.0,) * 3)(fast.profile)
    found = judged(fast, profile=profile)
    assert found.looks_like == "input.colour-order"
    assert found.changes == ["input.colour: RGB → BGR", "input.std: [1, 1, 1] → [255, 255, 255]"]


def test_classes_in_another_order(fast: Real) -> None:
    shown = [
        each._replace(expect=[replace(one, class_index=79 - one.class_index) for one in each.expect])
        for each in fast.shown
    ]
    found = examine(infers(fast.data), reading(fast.profile), shown, names=fast.names).selftest
    assert found.looks_like == "output.classes"


@pytest.mark.parametrize(
    ("spoil", "code"), [(faults.dead, "output.constant"), (faults.not_a_number, "output.not-a-number")]
)
def test_a_broken_model(fast: Real, spoil: Any, code: str) -> None:
    assert judged(fast, spoil(fast.data)).looks_like == code


def test_a_dead_model_is_found_on_a_single_image(fast: Real) -> None:
    found = examine(infers(faults.dead(fast.data)), reading(fast.profile), fast.shown[:1]).selftest
    assert found.looks_like == "output.constant"


@pytest.mark.parametrize("kind", ["missing", "doubled"])
def test_a_sigmoid_amiss(nano: Real, kind: str) -> None:
    found = judged(nano, faults.other_activation(nano.data, "yolox", kind))
    assert found.looks_like == "output.activation"
    words = {"missing": "leaves out", "doubled": "second sigmoid"}
    assert words[kind] in found.text


def test_an_object_that_is_just_missed_is_no_killer(fast: Real) -> None:
    """Nothing makes FastestDet see what is not there: that nothing explains it is the answer."""
    pizza = fast.shown[0]
    absent = replace(pizza.expect[0], class_index=fast.names.index("zebra"), name="zebra")
    shown = [pizza._replace(expect=[*pizza.expect, absent]), *fast.shown[1:]]
    found = examine(infers(fast.data), reading(fast.profile), shown, names=fast.names).selftest
    assert (found.passed, found.looks_like) == (False, None)
    assert "nothing here explains it" in found.text


def test_a_score_just_below_what_is_wanted_blames_nothing(fast: Real) -> None:
    shown = [
        each._replace(expect=[replace(one, min_score=0.905) for one in each.expect]) for each in fast.shown
    ]
    found = examine(infers(fast.data), reading(fast.profile), shown).selftest
    assert (found.passed, found.looks_like) == (False, None)


def test_other_readings_stop_when_time_is_over(fast: Real) -> None:
    counted: list[int] = []
    profile = faults.other_scale(fast.profile)
    found = examine(infers(fast.data, counted), reading(profile), fast.shown, seconds=0.0).selftest
    assert (found.passed, found.looks_like) == (False, None)
    assert "no time for" in found.text
    assert len(counted) == len(fast.shown)


def test_what_fp32_fails_by_is_said_of_the_others_too(fast: Real) -> None:
    """A fault of the profile is every variant's; half of FP32's score would hide it."""
    wrong = reading(faults.other_colours(fast.profile))
    first = examine(infers(fast.data), wrong, fast.shown)
    assert first.reference is not None
    found = examine(infers(fast.data), wrong, fast.shown, reference=first.reference, strict=False).selftest
    assert found.looks_like == "input.colour-order"
    assert found.changes == ["input.colour: RGB → BGR"]


def test_without_known_images_a_right_profile_is_not_suspected(fast: Real, nano: Real) -> None:
    for real in (fast, nano):
        found = survey(infers(real.data), reading(real.profile), real.unknown(8)).selftest
        assert (found.passed, found.suspect) == (True, None)


def test_without_known_images_a_wrong_scale_is_suspected_and_not_rejected(nano: Real) -> None:
    profile = faults.other_scale(nano.profile)
    found = survey(infers(nano.data), reading(profile), nano.unknown(4)).selftest
    assert (found.passed, found.looks_like, found.suspect) == (True, None, "input.scale")
    assert found.changes == ["input.std: [255, 255, 255] → [1, 1, 1]"]


def test_without_known_images_a_dead_output_fails(fast: Real) -> None:
    found = survey(infers(faults.dead(fast.data)), reading(fast.profile), fast.unknown(2)).selftest
    assert (found.passed, found.looks_like) == (False, "output.constant")


def test_what_fp32_is_sure_of_is_what_others_should_see(fast: Real) -> None:
    first = survey(infers(fast.data), reading(fast.profile), fast.unknown(8))
    assert first.reference is not None
    expect = first.reference.expect
    shown = [each._replace(expect=expect[each.name]) for each in fast.unknown(8) if each.name in expect]
    same = examine(infers(fast.data), reading(fast.profile), shown, reference=first.reference, strict=False)
    assert same.selftest.passed
    dead = examine(
        infers(faults.dead(fast.data)), reading(fast.profile), shown, reference=first.reference, strict=False
    )
    assert dead.selftest.looks_like == "output.constant"


def test_an_image_that_does_not_fit_an_integer_input() -> None:
    pixels = np.linspace(0, 255, 3 * 64 * 64, dtype=np.float32).reshape(1, 3, 64, 64)
    signed = InputTensor("int8", 1 / 255, -128)
    assert unfit_input((pixels / 255).astype(np.float32), signed) is None
    beyond = unfit_input(pixels, signed)
    assert beyond is not None
    assert "lie beyond" in beyond
    dark = unfit_input((pixels / 255).astype(np.float32), InputTensor("int8", 1.0, -128))
    assert dark is not None
    assert "falls onto 2 of its 256 levels" in dark
    assert unfit_input(pixels, InputTensor("float32")) is None


def test_clipped_and_coarse_outputs_are_told_by_their_numbers() -> None:
    whole = Traits([Spread([1, 100, 85], -2.0, 3.0)], 0.93, 1e-7)
    assert clipped(whole, whole) is None
    assert coarse(whole, whole) is None
    assert "19%" in (clipped(Traits([Spread([1, 100, 85], 0.0, 0.95)], 0.9, 1e-3), whole) or "")
    assert "0.10" in (clipped(Traits([Spread([1, 100, 85], -2.0, 3.0)], 0.1, 1e-3), whole) or "")
    steps = Traits([Spread([1, 100, 85], 0.0, 442.0)], 1.98, 1.98)
    assert "steps of 1.98" in (coarse(steps, whole) or "")
    assert clipped(Traits([Spread([1, 7], 0.0, 0.1)]), whole) is None


def test_an_image_that_cannot_be_used_is_an_error(fast: Real) -> None:
    with pytest.raises(Exception, match="expected an image file"):
        examine(infers(fast.data), reading(fast.profile), [Shown("none.jpg", b"", fast.shown[0].expect)])


ZOO = {
    "yolov5": ("yolov5n/yolov5n_416_fp32.onnx", {"size": (416, 416)}),
    "squeezenet": ("squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx", {}),
}


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("yolov5", None, None),
        ("yolov5", faults.other_colours, "input.colour-order"),
        ("yolov5", faults.other_boxes, "output.boxes"),
        ("squeezenet", None, None),
        ("squeezenet", faults.other_colours, "input.colour-order"),
        ("squeezenet", faults.with_input(mean=(0.0,) * 3, std=(255.0,) * 3), "input.scale"),
    ],
)
def test_faults_of_zoo_models(zoo: Path, name: str, change: Any, code: str | None) -> None:
    file, spec = ZOO[name]
    real = Real(name, zoo / "models" / file)
    profile = faults.with_input(**spec)(real.profile)
    found = judged(real, profile=change(profile) if change else profile)
    assert (found.passed, found.looks_like) == (code is None, code)


@pytest.mark.zoo
def test_a_doubled_softmax(zoo: Path) -> None:
    real = Real("squeezenet", zoo / "models" / ZOO["squeezenet"][0])
    found = judged(real, faults.other_activation(real.data, "classify", "doubled"))
    assert found.looks_like == "output.activation"
