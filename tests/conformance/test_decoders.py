"""Decoders on the zoo's real files: each form of an output scores what the file is recorded to score.

Raw heads come from cutting the graphs where their authors' exports for NPUs end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgedyno.core.profile import InputSpec, OutputSpec
from edgedyno.core.vision import decode, prepare
from tests.conformance import zoo as labelled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.core.result import Detection

    Arrays = list[np.ndarray[Any, Any]]
    Seen = list[tuple[int, list[Detection]]]

pytestmark = pytest.mark.zoo

YOLOV5 = "models/yolov5n/yolov5n_416_fp32.onnx"
YOLOV8 = "models/yolov8n/yolov8n_640_from_int8w.onnx"
V5_HEADS = [f"/model.24/m.{index}/Conv_out" for index in range(3)]
V5_PICTURES = [f"/model.24/m.{index}/Transpose_out" for index in range(3)]


class Cut:
    """A model that also gives what it computes on the way."""

    def __init__(self, path: Path, outputs: Sequence[str]) -> None:
        self._names = list(outputs)
        model = onnx.load(path)
        del model.graph.output[:]
        model.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs
        )
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )

    def __call__(self, tensor: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        found = self._session.run(None, {self._session.get_inputs()[0].name: tensor})
        return dict(zip(self._names, found, strict=True))


def forms_of_yolov5(found: dict[str, np.ndarray[Any, Any]]) -> dict[str, Arrays]:
    heads = [found[name] for name in V5_HEADS]
    return {
        "decoded": [found["output0"]],
        "channels first": heads,
        "channels last": [np.moveaxis(head, 1, -1) for head in heads],
        "in any order": heads[::-1],
        "after a sigmoid": [1 / (1 + np.exp(-head)) for head in heads],
        "anchors apart": [found[name] for name in V5_PICTURES],
        "cells in one axis": [found[name].reshape(1, 3, -1, 85) for name in V5_PICTURES],
    }


@pytest.mark.long
def test_every_form_of_yolov5_scores_as_recorded(zoo: Path) -> None:
    """0.3035 is what the zoo records for these 140 images."""
    seen = see_with_yolov5(zoo, None, ["decoded", "channels first"])
    for name, boxes in seen.items():
        found = labelled.mean_average_precision(zoo, boxes, official=False)
        assert found == pytest.approx(0.3035, abs=0.01), name


def test_forms_of_yolov5_see_the_same(zoo: Path) -> None:
    seen = see_with_yolov5(zoo, 4, None)
    assert len(seen) == 7
    for name, ours in seen.items():
        for (_, boxes), (_, expected) in zip(ours, seen["decoded"], strict=True):
            assert_same(boxes, expected, name)


def see_with_yolov5(zoo: Path, count: int | None, names: list[str] | None) -> dict[str, Seen]:
    model = Cut(zoo / YOLOV5, ["output0", *V5_HEADS, *V5_PICTURES])
    seen: dict[str, Seen] = {}
    for image, path in labelled.images(zoo, official=False)[:count]:
        prepared = prepare(path.read_bytes(), InputSpec(size=(416, 416)))
        for name, outputs in forms_of_yolov5(model(prepared.tensor)).items():
            if names is None or name in names:
                boxes = decode(outputs, OutputSpec(decoder="yolov5"), prepared.geometry)
                seen.setdefault(name, []).append((image, boxes))
    return seen


def assert_same(found: list[Detection], expected: list[Detection], name: str) -> None:
    """Compare the surer boxes: at the threshold itself rounding decides which are there."""
    ours, theirs = (
        [[one.x, one.y, one.width, one.height, one.score] for one in boxes if one.score > 0.05]
        for boxes in (found, expected)
    )
    assert len(ours) == len(theirs), name
    np.testing.assert_allclose(np.array(ours), np.array(theirs), atol=0.05, err_msg=name)


def heads_of_yolov8(path: Path) -> list[tuple[str, str]]:
    """Return the names of boxes and classes of each stride: what the export joins channel by channel."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    shapes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in model.graph.value_info
    }
    joined = [node for node in model.graph.node if node.op_type == "Concat" and len(node.input) == 2]
    pairs = [
        (node.input[0], node.input[1]) for node in joined if shapes.get(node.output[0], [])[1:2] == [144]
    ]
    return sorted(pairs, key=lambda pair: -shapes[pair[0]][2])


def forms_of_yolov8(
    found: dict[str, np.ndarray[Any, Any]], pairs: list[tuple[str, str]]
) -> dict[str, Arrays]:
    boxes, classes = ([found[pair[which]] for pair in pairs] for which in (0, 1))
    sigmoids = [1 / (1 + np.exp(-each)) for each in classes]
    sums = [np.clip(each.sum(1, keepdims=True), 0, 1) for each in sigmoids]
    return {
        "decoded": [found["PartitionedCall:0"]],
        "joined": [np.concatenate(pair, axis=1) for pair in zip(boxes, classes, strict=True)],
        "joined, channels last": [
            np.moveaxis(np.concatenate(pair, axis=1), 1, -1) for pair in zip(boxes, classes, strict=True)
        ],
        "split": [each for pair in zip(boxes, classes, strict=True) for each in pair],
        "as RKNN's": [each for parts in zip(boxes, sigmoids, sums, strict=True) for each in parts],
        "boxes first": [*boxes, *sigmoids],
    }


@pytest.mark.long
def test_every_form_of_yolov8_scores_as_recorded(zoo: Path) -> None:
    """0.432 is what the zoo records for these 79 images."""
    _check_yolov8(zoo, None)


def test_forms_of_yolov8_see_the_same(zoo: Path) -> None:
    _check_yolov8(zoo, 3)


def _check_yolov8(zoo: Path, count: int | None) -> None:
    pairs = heads_of_yolov8(zoo / YOLOV8)
    assert len(pairs) == 3
    model = Cut(zoo / YOLOV8, ["PartitionedCall:0", *(name for pair in pairs for name in pair)])
    spec = InputSpec(size=(640, 640), layout="NHWC")
    output = OutputSpec(decoder="yolov8", boxes="fraction")
    seen: dict[str, Seen] = {}
    for image, path in labelled.images(zoo, official=True)[:count]:
        prepared = prepare(path.read_bytes(), spec)
        for name, outputs in forms_of_yolov8(model(prepared.tensor), pairs).items():
            seen.setdefault(name, []).append((image, decode(outputs, output, prepared.geometry)))
    for name, ours in seen.items():
        for (_, boxes), (_, expected) in zip(ours, seen["decoded"], strict=True):
            assert_same(boxes, expected, name)
        if count is None:
            found = labelled.mean_average_precision(zoo, ours, official=True)
            assert found == pytest.approx(0.432, abs=0.01), name
