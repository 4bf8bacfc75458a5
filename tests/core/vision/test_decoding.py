"""Raw outputs to boxes: each format by hand, suppression, limits, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.profile import OutputSpec
from edgedyno.core.vision import Geometry, decode, decode_classes, suppression

if TYPE_CHECKING:
    from edgedyno.core.result import Detection

# A 200x100 image in a 64x64 input: scaled by 0.32, padded above by 16.
GEOMETRY = Geometry(200, 100, 64, 64, 0.32, 0.32, 0.0, 16.0)
PLAIN = Geometry(64, 64, 64, 64)
MOST = 500


def _spec(decoder: str, **options: float) -> OutputSpec:
    return OutputSpec(decoder=decoder, **options)  # type: ignore[arg-type]


def _boxes(found: list[Detection]) -> list[tuple[float, ...]]:
    return [
        tuple(round(float(np.float32(value)), 3) for value in (one.x, one.y, one.width, one.height))
        for one in found
    ]


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_yolox_adds_the_cell_and_scales_by_the_stride() -> None:
    output = np.zeros((1, 64 + 16 + 4, 7), np.float32)
    # The cell in row 1, column 2 of the second grid (stride 16), which begins after the 64 cells of stride 8.
    output[0, 64 + 1 * 4 + 2] = [0.5, 0.25, np.log(2.0), np.log(0.5), 0.9, 0.1, 0.8]
    (found,) = decode([output], _spec("yolox", score_threshold=0.5), PLAIN)
    assert (found.class_index, round(found.score, 5)) == (1, 0.72)
    assert _boxes([found]) == [(2.5 * 16 - 16, 1.25 * 16 - 4, 32, 8)]


def test_yolox_follows_the_profiles_strides() -> None:
    output = np.zeros((1, 4, 6), np.float32)
    output[0, 3] = [0, 0, 0, 0, 1, 1]
    spec = OutputSpec(decoder="yolox", strides=[32])
    assert _boxes(decode([output], spec, PLAIN)) == [(16, 16, 32, 32)]


def test_fastestdet_uses_tanh_sigmoid_and_the_powers_of_its_scores() -> None:
    output = np.zeros((1, 7, 4, 4), np.float32)
    output[0, :, 2, 1] = [0.5, 0.0, np.arctanh(0.5), _logit(0.25), _logit(0.5), 0.0, 0.8]
    (found,) = decode([output], _spec("fastestdet", score_threshold=0.3), PLAIN)
    assert round(found.score, 5) == round(0.5**0.6 * 0.8**0.4, 5)
    assert _boxes([found]) == [(16 - 8, 2.5 * 16 - 16, 16, 32)]


def test_yolov5_multiplies_objectness_and_class() -> None:
    output = np.zeros((1, 20, 7), np.float32)
    output[0, 5] = [32, 32, 16, 8, 0.5, 0.4, 0.9]
    found = decode([output], _spec("yolov5"), PLAIN)
    assert [(one.class_index, round(one.score, 3)) for one in found] == [(1, 0.45), (0, 0.2)]


def test_yolov8_has_no_objectness_and_comes_in_columns() -> None:
    output = np.zeros((1, 6, 20), np.float32)
    output[0, :, 7] = [32, 32, 16, 8, 0.001, 0.9]
    (found,) = decode([output], _spec("yolov8"), PLAIN)
    assert (found.class_index, _boxes([found])) == (1, [(24, 28, 16, 8)])


def test_boxes_come_back_in_pixels_of_the_original_image_and_within_it() -> None:
    output = np.zeros((1, 20, 6), np.float32)
    output[0, 0] = [32, 32, 16, 8, 1, 1]
    output[0, 1] = [60, 32, 30, 8, 1, 0.5]
    inside, cut = decode([output], _spec("yolov5"), GEOMETRY)
    assert _boxes([inside]) == [(75, 37.5, 50, 25)]
    assert cut.x + cut.width == pytest.approx(200)


def _overlapping(*classes: int) -> np.ndarray:
    output = np.zeros((1, 20, 8), np.float32)
    for index, class_index in enumerate(classes):
        output[0, index, :5] = [32 + index, 32, 20, 20, 1.0]
        output[0, index, 5 + class_index] = 0.9 - index * 0.1
    return output


def test_of_overlapping_boxes_of_a_class_the_best_stays() -> None:
    found = decode([_overlapping(0, 0, 0)], _spec("yolov5"), PLAIN)
    assert [round(one.score, 3) for one in found] == [0.9]


def test_overlapping_boxes_of_different_classes_all_stay() -> None:
    found = decode([_overlapping(0, 1, 2)], _spec("yolov5"), PLAIN)
    assert [one.class_index for one in found] == [0, 1, 2]


def test_boxes_that_overlap_less_than_the_limit_stay() -> None:
    output = _overlapping(0, 0)
    output[0, 1, 0] = 32 + 6  # 14 of 26 pixels in common: IoU 0.538
    assert len(decode([output], _spec("yolov5", iou_threshold=0.65), PLAIN)) == 2
    assert len(decode([output], _spec("yolov5", iou_threshold=0.5), PLAIN)) == 1


def test_threshold_and_limit_hold() -> None:
    output = np.zeros((1, 200, 6), np.float32)
    output[0, :, :5] = [[index, index, 1, 1, 1.0] for index in range(200)]
    output[0, :, 5] = np.linspace(0.001, 0.9, 200)
    found = decode([output], _spec("yolov5", score_threshold=0.5, max_detections=10), PLAIN)
    assert len(found) == 10
    assert found[0].score == pytest.approx(0.9)
    assert all(one.score > 0.5 for one in decode([output], _spec("yolov5", score_threshold=0.5), PLAIN))


def test_nothing_found_is_an_empty_list() -> None:
    assert decode([np.zeros((1, 20, 6), np.float32)], _spec("yolov5"), PLAIN) == []


def test_half_precision_outputs_are_read() -> None:
    output = _overlapping(0).astype(np.float16)
    assert len(decode([output], _spec("yolov5"), PLAIN)) == 1


@pytest.mark.parametrize(
    ("decoder", "shape"),
    [
        ("yolox", (1, 83, 7)),
        ("yolox", (1, 84, 5)),
        ("fastestdet", (1, 85, 22)),
        ("fastestdet", (1, 4, 22, 22)),
        ("yolov5", (1, 85, 2000)),
        ("yolov5", (2, 100, 85)),
        ("yolov8", (1, 8400, 84)),
    ],
)
def test_an_output_of_another_shape_is_refused_with_both_shapes(decoder: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected") as caught:
        decode([np.zeros(shape, np.float32)], _spec(decoder), PLAIN)
    assert caught.value.code == "output.shape"
    assert str(list(shape)) in str(caught.value)


def test_the_output_that_fits_is_taken_among_several() -> None:
    output = _overlapping(0)
    assert len(decode([np.zeros((1, 3), np.float32), output], _spec("yolov5"), PLAIN)) == 1


def test_no_output_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no output"):
        decode([], _spec("yolov5"), PLAIN)


def test_integer_outputs_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        decode([_overlapping(0).astype(np.uint8)], _spec("yolov5"), PLAIN)
    assert caught.value.code == "output.dtype"


def test_nan_is_a_failure_and_not_an_empty_image() -> None:
    output = _overlapping(0)
    output[0, 3, 3] = np.nan
    with pytest.raises(RunError) as caught:
        decode([output], _spec("yolov5"), PLAIN)
    assert caught.value.code == "output.not-a-number"


def test_absurd_sizes_do_not_overflow() -> None:
    output = np.zeros((1, 84, 6), np.float32)
    output[0, 0] = [0, 0, 500, 500, 1, 1]
    (found,) = decode([output], _spec("yolox"), PLAIN)
    assert (found.width, found.height) == (64, 64)


def test_classes_come_best_first() -> None:
    probabilities = np.array([[0.1, 0.6, 0.3]], np.float32)
    assert [index for index, _ in decode_classes([probabilities], _spec("classify"))] == [1, 2, 0]
    assert decode_classes([probabilities], _spec("classify"), limit=1)[0][1] == pytest.approx(0.6)


def test_logits_become_probabilities() -> None:
    logits = np.array([[[[1.0]], [[3.0]], [[2.0]]]], np.float32)
    best = decode_classes([logits], _spec("classify"))
    assert [index for index, _ in best] == [1, 2, 0]
    assert sum(share for _, share in best) == pytest.approx(1.0)


def test_probabilities_rounded_to_8_bits_are_no_logits() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1, (1, 1000))
    logits[0, 7] = 7.0
    probabilities = np.exp(logits) / np.exp(logits).sum()
    rounded = (np.rint(probabilities * 256) / 256).astype(np.float32)
    assert abs(rounded.sum() - 1) > 0.1, "most of the small ones are rounded away"
    assert decode_classes([rounded], _spec("classify"), limit=1) == [(7, rounded[0, 7])]
    two = np.array([[0.3, 0.9]], np.float32)
    assert decode_classes([two], _spec("classify"))[0][1] == pytest.approx(1 / (1 + np.exp(-0.6)))


def test_classes_of_a_detector_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        decode_classes([np.zeros((1, 20, 6), np.float32)], _spec("classify"))
    assert caught.value.code == "output.shape"


@pytest.mark.parametrize(("seed", "classes", "limit"), [(1, 1, 300), (2, 3, 40), (3, 80, 300), (4, 80, 5000)])
def test_suppression_is_the_plain_greedy_one_in_order_of_scores(
    monkeypatch: pytest.MonkeyPatch, seed: int, classes: int, limit: int
) -> None:
    """Many crowded boxes, many of them with equal scores, more than one chunk of them."""
    monkeypatch.setattr(suppression, "MAX_CANDIDATES", MOST)
    rng = np.random.default_rng(seed)
    output = np.empty((1, 400, 5 + classes), np.float32)
    output[0, :, :2] = rng.uniform(0, 64, (400, 2))
    output[0, :, 2:4] = rng.uniform(2, 30, (400, 2))
    output[0, :, 4] = 1
    output[0, :, 5:] = rng.integers(0, 200, (400, classes)) / 200 * (rng.random((400, classes)) < 2 / classes)
    spec = _spec("yolov5", score_threshold=0.01, max_detections=limit)
    found = [
        (one.class_index, float(np.float32(one.score)), *box)
        for one in (decode([output], spec, PLAIN))
        for box in _boxes([one])
    ]
    assert found == _plainly(output[0], spec, limit)


def _plainly(rows: np.ndarray, spec: OutputSpec, limit: int) -> list[tuple[float, ...]]:
    """Suppress box by box, as the definition says."""
    places, classes = np.nonzero(rows[:, 5:] > spec.score_threshold)
    scores = rows[places, 5 + classes]
    kept: list[tuple[int, np.ndarray, float]] = []
    for at in np.argsort(-scores, kind="stable")[:MOST]:
        centre, half = rows[places[at], :2], rows[places[at], 2:4] / 2
        box = np.concatenate([centre - half, centre + half])
        if all(_iou(box, other) <= spec.iou_threshold for index, other, _ in kept if index == classes[at]):
            kept.append((int(classes[at]), box, float(scores[at])))
    clipped = [(index, box.clip(0, 64), score) for index, box, score in kept[:limit]]
    return [
        (index, score, *(round(float(value), 3) for value in (*box[:2], *(box[2:] - box[:2]))))
        for index, box, score in clipped
    ]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0)
    shared = sides[0] * sides[1]
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))
