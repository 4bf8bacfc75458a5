"""YOLOv5 (and YOLOv7): boxes as its export decodes them, or the raw heads with their anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision.decoders.base import STRIDES, floats, grids, heads, probabilities, scaled
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.vision.decoders.base import Floats, Grid, Output, Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = (
    "[1, boxes, 5 + classes], or for each stride [1, anchors x (5 + classes), rows, columns] "
    "or [1, anchors, rows, columns, 5 + classes]"
)
# Width, height of three boxes for strides 8, 16 and 32, in pixels: those of all YOLOv5 models but the P6 ones.
ANCHORS = (
    (10.0, 13.0, 16.0, 30.0, 33.0, 23.0),
    (30.0, 61.0, 62.0, 45.0, 59.0, 119.0),
    (116.0, 90.0, 156.0, 198.0, 373.0, 326.0),
)
_LEAST = 6


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode rows of centre, size, objectness, classes, or raw heads; None where no output has a form of these."""
    wanted = grids(spec.strides or STRIDES, geometry)
    if spec.anchors or len(wanted) == len(ANCHORS):
        anchors = _anchors(spec, len(wanted))
        raw = _heads(outputs, wanted, anchors)
        if raw is not None:
            return _from_heads(raw, wanted, anchors)
    for output in outputs:
        if output.ndim == 3 and output.shape[0] == 1 and _LEAST <= output.shape[2] < output.shape[1]:  # noqa: PLR2004
            rows = floats(output)[0]
            return Candidates(scaled(rows[:, :4], spec.boxes, geometry), rows[:, 4:5] * rows[:, 5:])
    return None


def _anchors(spec: OutputSpec, strides: int) -> list[Floats]:
    chosen: Sequence[Sequence[float]] = spec.anchors or ANCHORS
    if len(chosen) != strides or any(len(each) % 2 or not each for each in chosen):
        raise ConfigError(
            f"found anchors {[list(each) for each in chosen]}, expected width, height, … for each of {strides} strides",
            code="output.anchors",
        )
    return [np.array(each, np.float32).reshape(-1, 2) for each in chosen]


def _heads(outputs: Outputs, wanted: list[Grid], anchors: list[Floats]) -> list[Floats] | None:
    """Return the raw head of each grid as [cells, anchors, 5 + classes]."""
    apart = [_apart(outputs, grid, len(each)) for grid, each in zip(wanted, anchors, strict=True)]
    if all(output is not None for output in apart):
        return [floats(output) for output in apart if output is not None]
    counts = {len(each) for each in anchors}
    if len(counts) != 1:
        return None
    count = counts.pop()

    def whole(parts: list[Output]) -> list[Output] | None:
        fits = len(parts) == 1 and parts[0].shape[1] % count == 0 and parts[0].shape[1] // count >= _LEAST
        return parts if fits else None

    found = heads(outputs, wanted, whole)
    return None if found is None else [each.reshape(len(each), count, -1) for each in found]


def _apart(outputs: Outputs, grid: Grid, count: int) -> Output | None:
    """Return the tensor that has an axis of anchors, whether its cells have one axis or two."""
    for output in outputs:
        shape = output.shape[1:] if output.shape[:1] == (1,) else output.shape
        if len(shape) < 3 or shape[0] != count or shape[-1] < _LEAST:  # noqa: PLR2004 - anchors, cells, channels
            continue
        if shape[1:-1] in ((grid.rows, grid.columns), (grid.cells,)):
            return np.moveaxis(output.reshape(count, grid.cells, shape[-1]), 0, 1)
    return None


def _from_heads(raw: list[Floats], wanted: list[Grid], anchors: list[Floats]) -> Candidates:
    boxes, scores = [], []
    for head, grid, sizes in zip(raw, wanted, anchors, strict=True):
        values = probabilities(head)
        centres = (values[..., :2] * 2 - 0.5 + grid.places()[:, None]) * grid.stride
        sides = (values[..., 2:4] * 2) ** 2 * sizes
        boxes.append(np.concatenate([centres, sides], axis=2).reshape(-1, 4))
        scores.append((values[..., 4:5] * values[..., 5:]).reshape(-1, head.shape[2] - 5))
    return Candidates(np.concatenate(boxes), np.concatenate(scores))
