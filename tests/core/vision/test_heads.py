"""Raw heads to boxes, against plain loops over the formats' definitions; and outputs that cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgedyno.core.errors import ConfigError
from edgedyno.core.profile import OutputSpec, Priors
from edgedyno.core.vision import Geometry, decode
from edgedyno.core.vision.decoders import nanodet, ssd, yolov5, yolov8, yolox
from edgedyno.core.vision.decoders.base import grids

if TYPE_CHECKING:
    from edgedyno.core.vision.suppression import Candidates

    Array = np.ndarray[Any, Any]

# Neither side is a multiple of 64: NanoDet-Plus counts the cells that the edge cuts.
INPUT = Geometry(96, 160, 96, 160)
SQUARE = Geometry(300, 300, 300, 300)
CLASSES = 3
RNG = np.random.default_rng(7)


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def _softmax(x: Array) -> Array:
    return np.asarray(np.exp(x) / np.exp(x).sum())


def _heads(channels: int, strides: tuple[int, ...] = (8, 16, 32)) -> list[Array]:
    return [
        RNG.normal(0, 2, (1, channels, grid.rows, grid.columns)).astype(np.float32)
        for grid in grids(strides, INPUT)
    ]


def _check(found: Candidates | None, boxes: list[list[float]], scores: list[list[float]]) -> None:
    assert found is not None
    np.testing.assert_allclose(found.boxes, np.array(boxes), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, np.array(scores), rtol=1e-4, atol=1e-5)


def _dfl(values: Array, bins: int) -> list[float]:
    """Return left, top, right, bottom: each the mean of its own distribution."""
    return [
        float(
            sum(
                index * share for index, share in enumerate(_softmax(values[side * bins : (side + 1) * bins]))
            )
        )
        for side in range(4)
    ]


def _ltrb(x: float, y: float, sides: list[float], stride: int) -> list[float]:
    left, top, right, bottom = sides
    low, high = (x - left, y - top), (x + right, y + bottom)
    return [
        (low[0] + high[0]) / 2 * stride,
        (low[1] + high[1]) / 2 * stride,
        (high[0] - low[0]) * stride,
        (high[1] - low[1]) * stride,
    ]


def test_yolov5_heads_are_decoded_as_its_detect_layer_does() -> None:
    outputs = _heads(3 * (5 + CLASSES))
    boxes, scores = [], []
    for head, stride, anchors in zip(outputs, (8, 16, 32), yolov5.ANCHORS, strict=True):
        for row, column, anchor in np.ndindex(head.shape[2], head.shape[3], 3):
            values = [_sigmoid(value) for value in head[0, anchor * 8 : anchor * 8 + 8, row, column]]
            boxes.append(
                [
                    (values[0] * 2 - 0.5 + column) * stride,
                    (values[1] * 2 - 0.5 + row) * stride,
                    (values[2] * 2) ** 2 * anchors[2 * anchor],
                    (values[3] * 2) ** 2 * anchors[2 * anchor + 1],
                ]
            )
            scores.append([values[4] * value for value in values[5:]])
    _check(yolov5.read(outputs, OutputSpec(decoder="yolov5"), INPUT), boxes, scores)


def test_yolov5_follows_the_profiles_anchors() -> None:
    output = np.zeros((1, 2 * 6, 5, 3), np.float32)
    output[0, 4] = -5  # so that these are logits
    spec = OutputSpec(decoder="yolov5", strides=[32], anchors=[[10, 20, 30, 40]])
    found = yolov5.read([output], spec, INPUT)
    assert found is not None
    assert found.boxes[:2].tolist() == [[16, 16, 10, 20], [16, 16, 30, 40]]


def test_anchors_have_to_fit_the_strides() -> None:
    spec = OutputSpec(decoder="yolov5", anchors=[[10, 20, 30]])
    with pytest.raises(ConfigError, match="each of 3 strides") as caught:
        yolov5.read([np.zeros((1, 100, 6), np.float32)], spec, INPUT)
    assert caught.value.code == "output.anchors"


def test_yolov8_heads_are_decoded_as_its_detect_layer_does() -> None:
    outputs = _heads(64 + CLASSES)
    boxes, scores = [], []
    for head, stride in zip(outputs, (8, 16, 32), strict=True):
        for row, column in np.ndindex(head.shape[2], head.shape[3]):
            values = head[0, :, row, column]
            boxes.append(_ltrb(column + 0.5, row + 0.5, _dfl(values[:64], 16), stride))
            scores.append([_sigmoid(value) for value in values[64:]])
    _check(yolov8.read(outputs, OutputSpec(decoder="yolov8"), INPUT), boxes, scores)


def test_yolox_heads_are_what_its_rows_are() -> None:
    outputs = _heads(5 + CLASSES)
    spec = OutputSpec(decoder="yolox")
    rows = np.concatenate([head.reshape(1, 5 + CLASSES, -1) for head in outputs], axis=2).transpose(0, 2, 1)
    whole = yolox.read([rows], spec, INPUT)
    heads = yolox.read(outputs, spec, INPUT)
    split = yolox.read([part for head in outputs for part in np.split(head, [4, 5], axis=1)], spec, INPUT)
    assert whole is not None
    _check(heads, whole.boxes.tolist(), whole.scores.tolist())
    _check(split, whole.boxes.tolist(), whole.scores.tolist())


@pytest.mark.parametrize(("strides", "centre"), [((8, 16, 32), 0.5), ((8, 16, 32, 64), 0.0)])
def test_nanodet_is_decoded_as_its_head_does(strides: tuple[int, ...], centre: float) -> None:
    spec = OutputSpec(decoder="nanodet", cell_centre=centre)
    rows, boxes, scores = [], [], []
    for grid in grids(strides, INPUT):
        assert grid.rows * grid.stride >= 160
        for row, column in np.ndindex(grid.rows, grid.columns):
            logits = RNG.normal(-2, 2, CLASSES)
            distribution = RNG.normal(0, 2, 32)
            rows.append([*(_sigmoid(value) for value in logits), *distribution])
            boxes.append(_ltrb(column + centre, row + centre, _dfl(distribution, 8), grid.stride))
            scores.append([_sigmoid(value) for value in logits])
    whole = np.array([rows], np.float32)
    _check(nanodet.read([whole], spec, INPUT), boxes, scores)
    cells = np.cumsum([grid.cells for grid in grids(strides, INPUT)])[:-1]
    parts = np.split(whole, cells, axis=1)
    _check(nanodet.read(parts, spec, INPUT), boxes, scores)
    pairs = [half for part in parts for half in (part[..., :CLASSES], part[..., CLASSES:])]
    _check(nanodet.read(pairs, spec, INPUT), boxes, scores)
    _check(nanodet.read([pair[0] for pair in pairs], spec, INPUT), boxes, scores)  # ncnn has no batch
    pictures = [
        part.reshape(1, grid.rows, grid.columns, -1)
        for part, grid in zip(parts, grids(strides, INPUT), strict=True)
    ]
    _check(nanodet.read(pictures, spec, INPUT), boxes, scores)
    first = [picture.transpose(0, 3, 1, 2) for picture in pictures]
    _check(nanodet.read(first, spec, INPUT), boxes, scores)


def test_scores_that_went_through_no_sigmoid_do_so_here() -> None:
    rows = np.zeros((1, 20 * 12 + 10 * 6 + 5 * 3, CLASSES + 32), np.float32)
    rows[..., :CLASSES] = RNG.normal(-4, 2, (*rows.shape[:2], CLASSES))
    found = nanodet.read([rows], OutputSpec(decoder="nanodet"), INPUT)
    assert found is not None
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-rows[0, :, :CLASSES])), atol=1e-6)


def test_heads_that_fit_both_layouts_are_refused() -> None:
    spec = OutputSpec(decoder="yolox", strides=[8])
    with pytest.raises(ConfigError) as caught:
        decode([np.zeros((1, 8, 8, 8), np.float32)], spec, Geometry(64, 64, 64, 64))
    assert caught.value.code == "output.ambiguous"


def test_another_tensor_of_the_same_heads_tells_the_layout() -> None:
    """80 classes on a grid of 80 x 80 alone could be either."""
    spec = OutputSpec(decoder="yolov8", strides=[8])
    boxes, classes = np.zeros((1, 64, 80, 80), np.float32), np.zeros((1, 80, 80, 80), np.float32)
    classes[0, 5, 10, 20] = 0.9
    (found,) = decode([boxes, classes], spec, Geometry(640, 640, 640, 640))
    assert found.class_index == 5
    assert (found.x + found.width / 2, found.y + found.height / 2) == (20.5 * 8, 10.5 * 8)


def test_boxes_may_be_fractions_of_the_input() -> None:
    rows = np.zeros((1, 20, 7), np.float32)
    rows[0, 3] = [0.5, 0.25, 0.5, 0.1, 1, 1, 0]
    (found,) = decode([rows], OutputSpec(decoder="yolov5", boxes="fraction"), INPUT)
    assert [found.x, found.y, found.width, found.height] == pytest.approx([24, 32, 48, 16], abs=1e-4)


# SSD


def _post_processed() -> list[Array]:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 0.5], [0.3, 0.3, 0.4, 0.4]]], np.float32)
    classes, scores = np.array([[16.0, 0.0, 2.0]], np.float32), np.array([[0.9, 0.6, 0.0]], np.float32)
    return [boxes, classes, scores, np.array([2.0], np.float32)]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]])
def test_ssds_own_post_processing_is_read_in_any_order(order: list[int]) -> None:
    outputs = _post_processed()
    found = decode([outputs[index] for index in order], OutputSpec(decoder="ssd"), SQUARE)
    assert [(one.class_index, round(one.score, 3)) for one in found] == [(16, 0.9), (0, 0.6)]
    assert [found[0].x, found[0].y, found[0].width, found[0].height] == pytest.approx(
        [60, 30, 120, 120], abs=1e-3
    )


def test_ssds_number_of_boxes_holds() -> None:
    outputs = _post_processed()
    outputs[3][0] = 1
    assert len(decode(outputs, OutputSpec(decoder="ssd"), SQUARE)) == 1


def test_an_empty_image_of_ssd_is_empty() -> None:
    outputs = [np.zeros_like(each) for each in _post_processed()]
    assert decode(outputs, OutputSpec(decoder="ssd"), SQUARE) == []


def test_a_background_class_is_no_class() -> None:
    spec = OutputSpec(decoder="ssd", background=True)
    assert [one.class_index for one in decode(_post_processed(), spec, SQUARE)] == [15]


@pytest.mark.parametrize("before", [[], [0.0]])
def test_ncnns_and_caffes_rows_are_read(before: list[float]) -> None:
    rows = np.array([[*before, 2, 0.8, 0.2, 0.1, 0.6, 0.5], [*before, 1, 0.4, 0, 0, 1, 1]], np.float32)
    found = decode([rows], OutputSpec(decoder="ssd", background=True), SQUARE)
    assert [(one.class_index, round(one.score, 3)) for one in found] == [(1, 0.8), (0, 0.4)]
    assert [found[0].x, found[0].y, found[0].width, found[0].height] == pytest.approx(
        [60, 30, 120, 120], abs=1e-3
    )


def test_tensorflows_priors_are_made_as_its_paper_says() -> None:
    """1917 boxes: 19 x 19 cells of three, and six on each smaller grid (SSD: section 2.2)."""
    priors = ssd.prior_boxes(Priors(), list(ssd.STRIDES), SQUARE)
    assert len(priors) == 19 * 19 * 3 + (10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1) * 6 == 1917
    half = np.sqrt(0.5)
    np.testing.assert_allclose(priors[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1], rtol=1e-5)
    np.testing.assert_allclose(priors[1], [0.5 / 19, 0.5 / 19, 0.2 / half, 0.2 * half], rtol=1e-5)
    np.testing.assert_allclose(priors[3], [1.5 / 19, 0.5 / 19, 0.1, 0.1], rtol=1e-5)
    second = priors[19 * 19 * 3 :][:6]
    np.testing.assert_allclose(
        second[:, 2:].prod(axis=1) ** 0.5, [0.35] * 5 + [np.sqrt(0.35 * 0.5)], rtol=1e-5
    )
    np.testing.assert_allclose(second[3, 2] / second[3, 3], 3, rtol=1e-5)
    np.testing.assert_allclose(priors[-1], [0.5, 0.5, np.sqrt(0.95), np.sqrt(0.95)], rtol=1e-5)


@pytest.mark.parametrize("order", ["yxhw", "xywh"])
def test_ssds_raw_boxes_are_relative_to_their_priors(order: str) -> None:
    spec = OutputSpec(decoder="ssd", background=True, priors=Priors(order=order))  # type: ignore[arg-type]
    priors = ssd.prior_boxes(Priors(), list(ssd.STRIDES), SQUARE)
    numbers = RNG.normal(0, 1, (1, 1917, 4)).astype(np.float32)
    logits = RNG.normal(-5, 2, (1, 1917, 1 + 5)).astype(np.float32)
    boxes, scores = [], []
    for prior, raw, row in zip(priors, numbers[0], logits[0], strict=True):
        x, y, width, height = raw if order == "xywh" else raw[[1, 0, 3, 2]]
        boxes.append(
            [
                300 * (prior[0] + x / 10 * prior[2]),
                300 * (prior[1] + y / 10 * prior[3]),
                300 * prior[2] * np.exp(width / 5),
                300 * prior[3] * np.exp(height / 5),
            ]
        )
        scores.append([_sigmoid(value) for value in row[1:]])
    _check(ssd.read([logits, numbers], spec, SQUARE), boxes, scores)
    _check(ssd.read([numbers[:, :, None], logits], spec, SQUARE), boxes, scores)  # TensorFlow's extra axis


def test_ssds_raw_corners_need_no_priors() -> None:
    corners = np.array([[[0.1, 0.2, 0.5, 0.4]] * 10], np.float32)
    scores = np.zeros((1, 10, 3), np.float32)
    scores[0, 4, 2] = 0.9
    spec = OutputSpec(decoder="ssd", background=True, boxes="fraction")
    (found,) = decode([scores, corners], spec, SQUARE)
    assert found.class_index == 1
    assert [found.x, found.y, found.width, found.height] == pytest.approx([30, 60, 120, 60], abs=1e-3)


def test_priors_that_do_not_fit_the_boxes_are_refused() -> None:
    outputs = [np.zeros((1, 1000, 4), np.float32), np.zeros((1, 1000, 21), np.float32)]
    with pytest.raises(ConfigError, match="1917") as caught:
        decode(outputs, OutputSpec(decoder="ssd", priors=Priors()), SQUARE)
    assert caught.value.code == "output.priors"


@pytest.mark.parametrize("decoder", ["yolox", "yolov5", "yolov8", "nanodet", "ssd"])
def test_outputs_of_no_form_are_refused_with_all_forms(decoder: str) -> None:
    with pytest.raises(ConfigError, match="expected") as caught:
        decode([np.zeros((1, 9), np.float32)], OutputSpec(decoder=decoder), INPUT)  # type: ignore[arg-type]
    assert caught.value.code == "output.shape"


def test_a_classifier_has_no_boxes() -> None:
    with pytest.raises(ConfigError) as caught:
        decode([np.zeros((1, 7), np.float32)], OutputSpec(decoder="classify"), INPUT)
    assert caught.value.code == "output.decoder"
