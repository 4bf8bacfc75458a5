"""SSD: boxes that the model suppressed itself, or every prior's box and scores.

TensorFlow's post-processing gives boxes (top, left, bottom, right), classes, scores and their number; ncnn and
Caffe give rows of class, score and corners. Raw boxes are corners, or relative to priors where the profile
describes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision.decoders.base import floats, from_corners, grids, probabilities, scaled
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.profile import OutputSpec, Priors
    from edgedyno.core.vision.decoders.base import Floats, Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = (
    "[1, boxes, 4], [1, boxes] and [1, boxes] (boxes, classes, scores), or rows of class, score and corners, "
    "or [1, boxes, 4] and [1, boxes, classes]"
)
STRIDES = (16, 32, 64, 128, 256, 512)
_REDUCED = ((0.1, 1.0), (None, 2.0), (None, 0.5))
# exp(20) is far outside any image; a broken quantization must not overflow into warnings.
_MAX_LOG_SIDE = 20.0
_ROW = 6  # class, score, left, top, right, bottom; Caffe has the image's number before them


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode suppressed boxes or raw ones; None where no outputs have a form of these."""
    for form in (_post_processed, _rows, _raw):
        found = form(outputs, spec, geometry)
        if found is not None:
            return found
    return None


def _post_processed(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Read TensorFlow's post-processing: two outputs have a number for each box, classes and scores."""
    boxes = _boxes(outputs)
    if boxes is None:
        return None
    pair = [output for output in outputs if output.ndim == 2 and output.shape == (1, len(boxes))]  # noqa: PLR2004
    if len(pair) != 2 or len(boxes) == 1:  # noqa: PLR2004 - classes and scores; a single box cannot be told apart
        return None
    first, second = (floats(output)[0] for output in pair)
    classes, scores = (first, second) if _are_classes(first, second) else (second, first)
    corners = boxes[:, [1, 0, 3, 2]]
    number = next((round(float(floats(each).item())) for each in outputs if each.size == 1), len(boxes))
    return _labelled(corners[:number], classes[:number], scores[:number], spec, geometry)


def _boxes(outputs: Outputs) -> Floats | None:
    """Return the boxes as rows of four; TensorFlow keeps an axis of 1 among its raw ones."""
    for output in outputs:
        shape = [size for size in output.shape[1:-1] if size != 1]
        if output.ndim >= 3 and output.shape[0] == 1 and output.shape[-1] == 4 and len(shape) <= 1:  # noqa: PLR2004
            return floats(output).reshape(-1, 4)
    return None


def _are_classes(first: Floats, second: Floats) -> bool:
    """Tell whether `first` holds the classes: whole numbers, and beyond 1 if only one of the two goes there.

    Where both are whole (nothing but zeros, as a rule) TensorFlow Lite's order holds: classes, then scores.
    """
    if first.max(initial=0) > 1 or second.max(initial=0) > 1:
        return bool(first.max(initial=0) > second.max(initial=0))
    whole = bool(np.all(first == np.round(first)))
    return whole or not np.all(second == np.round(second))


def _rows(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Read ncnn's and Caffe's detections, fractions of the input."""
    for output in outputs:
        rows = output.reshape(-1, output.shape[-1]) if output.ndim >= 2 else output  # noqa: PLR2004
        if rows.ndim == 2 and rows.shape[1] in (_ROW, _ROW + 1) and len(outputs) == 1:  # noqa: PLR2004
            values = floats(rows)[:, -_ROW:]
            return _labelled(values[:, 2:], values[:, 0], values[:, 1], spec, geometry)
    return None


def _labelled(
    corners: Floats, classes: Floats, scores: Floats, spec: OutputSpec, geometry: Geometry
) -> Candidates:
    """Return candidates of one class each; boxes are fractions of the input."""
    indices = np.round(classes).astype(np.intp) - int(spec.background)
    known = indices >= 0
    indices = indices[known]
    spread = np.zeros((len(indices), int(indices.max(initial=0)) + 1), np.float32)
    spread[np.arange(len(indices)), indices] = scores[known]
    return Candidates(scaled(from_corners(corners[known]), "fraction", geometry), spread)


def _raw(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    boxes = _boxes(outputs)
    if boxes is None:
        return None
    for output in outputs:
        fits = output.ndim == 3 and output.shape[:2] == (1, len(boxes)) and output.shape[2] != 4  # noqa: PLR2004
        if fits and output.shape[2] > int(spec.background):
            scores = probabilities(floats(output)[0])[:, int(spec.background) :]
            return Candidates(_absolute(boxes, spec, geometry), scores)
    return None


def _absolute(boxes: Floats, spec: OutputSpec, geometry: Geometry) -> Floats:
    if spec.priors is None:
        return scaled(from_corners(boxes), spec.boxes, geometry)
    priors = prior_boxes(spec.priors, list(spec.strides or STRIDES), geometry)
    if len(priors) != len(boxes):
        raise ConfigError(
            f"found {len(boxes)} raw boxes, expected {len(priors)} as `priors` and `strides` "
            f"{list(spec.strides or STRIDES)} make them",
            code="output.priors",
        )
    numbers = boxes if spec.priors.order == "xywh" else boxes[:, [1, 0, 3, 2]]
    centres = numbers[:, :2] / spec.priors.centre_scale * priors[:, 2:] + priors[:, :2]
    sizes = np.exp(np.minimum(numbers[:, 2:] / spec.priors.size_scale, _MAX_LOG_SIDE)) * priors[:, 2:]
    return scaled(np.concatenate([centres, sizes], axis=1), "fraction", geometry)


def prior_boxes(priors: Priors, strides: list[int], geometry: Geometry) -> Floats:
    """Return centre and size of each prior as fractions of the input."""
    wanted = grids(strides, geometry)
    steps = max(len(wanted) - 1, 1)
    spread = priors.max_scale - priors.min_scale
    scales = [*(priors.min_scale + spread * index / steps for index in range(len(wanted))), 1.0]
    made = []
    for index, grid in enumerate(wanted):
        shapes = np.array(list(_shapes(priors, index, scales)), np.float32)
        places = (grid.places() + 0.5) / np.array([grid.columns, grid.rows], np.float32)
        made.append(
            np.concatenate(
                [np.repeat(places, len(shapes), axis=0), np.tile(shapes, (len(places), 1))], axis=1
            )
        )
    return np.concatenate(made).astype(np.float32)


def _shapes(priors: Priors, index: int, scales: list[float]) -> Iterator[tuple[float, float]]:
    """Yield width and height of a cell's priors."""
    scale, following = scales[index], scales[index + 1]
    if index == 0 and priors.reduce_lowest:
        pairs = [(fixed or scale, ratio) for fixed, ratio in _REDUCED]
    else:
        pairs = [(scale, ratio) for ratio in priors.aspect_ratios] + [((scale * following) ** 0.5, 1.0)]
    for size, ratio in pairs:
        yield size * ratio**0.5, size / ratio**0.5
