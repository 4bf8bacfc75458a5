"""A model's raw output becomes boxes in pixels of the original image, or classes.

Each decoder turns its format into candidates: boxes in input pixels and a score per class. What follows is
the same for all of them and stands in `suppression`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.vision.suppression import Candidates, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.result import Detection
    from edgedyno.core.vision.geometry import Geometry

    Floats = NDArray[np.float32]

YOLOX_STRIDES = (8, 16, 32)
# exp(20) strides are far outside any image; a broken quantization must not overflow into warnings.
_MAX_LOG_SIDE = 20.0


def decode(outputs: Sequence[NDArray[np.generic]], spec: OutputSpec, geometry: Geometry) -> list[Detection]:
    """Return the boxes in a model's `outputs` for one image, best first, after class-wise suppression.

    Raises ConfigError (output.shape, output.dtype) when no output has the decoder's form, RunError
    (output.not-a-number) when the model computed NaN.
    """
    matches, expected, decoder = _DECODERS[spec.decoder]
    output = _pick(outputs, lambda shape: matches(shape, spec, geometry), spec.decoder, expected)
    return suppress(decoder(output, spec, geometry), spec, geometry)


def decode_classes(
    outputs: Sequence[NDArray[np.generic]], spec: OutputSpec, *, limit: int = 5
) -> list[tuple[int, float]]:
    """Return the best `limit` classes with their probabilities, best first; ties go to the lower index.

    Scores that do not add up to 1 are taken to be logits.
    """
    output = _pick(outputs, _is_classes, spec.decoder, "[1, classes]").reshape(-1)
    scores = output if _is_distribution(output) else _softmax(output)
    best = np.argsort(-scores, kind="stable")[:limit]
    return [(int(index), float(scores[index])) for index in best]


def _pick(
    outputs: Sequence[NDArray[np.generic]],
    matches: Callable[[tuple[int, ...]], bool],
    decoder: str,
    expected: str,
) -> Floats:
    fitting = [output for output in outputs if matches(output.shape)]
    if not fitting:
        found = ", ".join(str(list(output.shape)) for output in outputs) or "no output"
        raise ConfigError(
            f"found output {found}, expected {expected} for decoder {decoder!r}", code="output.shape"
        )
    output = fitting[0]
    if output.dtype.kind != "f":
        raise ConfigError(
            f"found an output of {output.dtype}, expected float (integers need their scale and zero point)",
            code="output.dtype",
        )
    if np.isnan(output).any():
        raise RunError("the model's output holds NaN", code="output.not-a-number")
    return output.astype(np.float32)


def _is_yolox(shape: tuple[int, ...], spec: OutputSpec, geometry: Geometry) -> bool:
    cells = sum(rows * columns for rows, columns, _ in _grids(spec, geometry))
    return len(shape) == 3 and shape[0] == 1 and shape[1] == cells and shape[2] > 5  # noqa: PLR2004


def _is_fastestdet(shape: tuple[int, ...], spec: OutputSpec, geometry: Geometry) -> bool:
    del spec, geometry
    return len(shape) == 4 and shape[0] == 1 and shape[1] > 5  # noqa: PLR2004


def _is_yolov5(shape: tuple[int, ...], spec: OutputSpec, geometry: Geometry) -> bool:
    del spec, geometry
    return len(shape) == 3 and shape[0] == 1 and 5 < shape[2] < shape[1]  # noqa: PLR2004


def _is_yolov8(shape: tuple[int, ...], spec: OutputSpec, geometry: Geometry) -> bool:
    del spec, geometry
    return len(shape) == 3 and shape[0] == 1 and 4 < shape[1] < shape[2]  # noqa: PLR2004


def _is_classes(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 1 and max(shape) > 1 and int(np.prod(shape)) == max(shape)


def _grids(spec: OutputSpec, geometry: Geometry) -> Iterator[tuple[int, int, int]]:
    for stride in spec.strides or YOLOX_STRIDES:
        yield geometry.input_height // stride, geometry.input_width // stride, stride


def _yolox(output: Floats, spec: OutputSpec, geometry: Geometry) -> Candidates:
    """Decode rows of dx, dy, log w, log h, objectness, classes; boxes relative to their grid cell."""
    grid = np.concatenate([_grid(*each) for each in _grids(spec, geometry)])
    stride = grid[:, 2:]
    boxes = output[0]
    centers = (boxes[:, :2] + grid[:, :2]) * stride
    sizes = np.exp(np.minimum(boxes[:, 2:4], _MAX_LOG_SIDE)) * stride
    return Candidates(np.concatenate([centers, sizes], 1), boxes[:, 4:5] * boxes[:, 5:])


def _grid(rows: int, columns: int, stride: int) -> Floats:
    """Return column, row and stride of each cell, row by row."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.column_stack([column, row, np.full(rows * columns, stride)]).astype(np.float32)


def _fastestdet(output: Floats, spec: OutputSpec, geometry: Geometry) -> Candidates:
    """Decode channels of objectness, dx, dy, w, h, classes over one grid, as FastestDet does."""
    del spec
    rows, columns = output.shape[2:]
    channels = output[0].reshape(output.shape[1], -1).T
    row, column = np.divmod(np.arange(rows * columns), columns)
    center_x = (column + np.tanh(channels[:, 1])) * (geometry.input_width / columns)
    center_y = (row + np.tanh(channels[:, 2])) * (geometry.input_height / rows)
    sizes = _sigmoid(channels[:, 3:5]) * (geometry.input_width, geometry.input_height)
    boxes = np.column_stack([center_x, center_y, sizes]).astype(np.float32)
    scores = np.maximum(channels[:, :1], 0) ** 0.6 * np.maximum(channels[:, 5:], 0) ** 0.4
    return Candidates(boxes, scores)


def _yolov5(output: Floats, spec: OutputSpec, geometry: Geometry) -> Candidates:
    """Decode rows of centre, size, objectness, classes, in input pixels."""
    del spec, geometry
    return Candidates(output[0, :, :4], output[0, :, 4:5] * output[0, :, 5:])


def _yolov8(output: Floats, spec: OutputSpec, geometry: Geometry) -> Candidates:
    """Decode columns of centre, size, classes, in input pixels; there is no objectness."""
    del spec, geometry
    return Candidates(output[0, :4].T, output[0, 4:].T)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float32)


def _softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max())
    return np.asarray(exponentials / exponentials.sum(), np.float32)


def _is_distribution(x: Floats) -> bool:
    return bool(x.min() >= 0 and abs(float(x.sum()) - 1.0) < 0.02)  # noqa: PLR2004 - FP16 and INT8 rounding


_DECODERS: dict[
    str,
    tuple[
        Callable[[tuple[int, ...], OutputSpec, Geometry], bool],
        str,
        Callable[[Floats, OutputSpec, Geometry], Candidates],
    ],
] = {
    "yolox": (_is_yolox, "[1, cells of all strides, 5 + classes]", _yolox),
    "fastestdet": (_is_fastestdet, "[1, 5 + classes, rows, columns]", _fastestdet),
    "yolov5": (_is_yolov5, "[1, boxes, 5 + classes]", _yolov5),
    "yolov8": (_is_yolov8, "[1, 4 + classes, boxes]", _yolov8),
}
