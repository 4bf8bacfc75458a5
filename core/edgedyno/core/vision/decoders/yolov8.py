"""YOLOv8, YOLO11 and what has their head: boxes as their export decodes them, or the raw heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.vision.decoders.base import (
    STRIDES,
    around,
    distances,
    floats,
    grids,
    heads,
    probabilities,
    scaled,
)
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.vision.decoders.base import Floats, Grid, Output, Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = (
    "[1, 4 + classes, boxes], or for each stride [1, 4 x bins + classes, rows, columns], "
    "or [1, 4 x bins, rows, columns] and [1, classes, rows, columns]"
)
BINS = 16
_LEAST = 5


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode columns of centre, size, classes, or raw heads; there is no objectness."""
    wanted = grids(spec.strides or STRIDES, geometry)
    bins = spec.bins or BINS
    raw = heads(outputs, wanted, lambda parts: _head(parts, 4 * bins))
    if raw is not None:
        return _from_heads(raw, wanted, bins)
    for output in outputs:
        if output.ndim == 3 and output.shape[0] == 1 and _LEAST <= output.shape[1] < output.shape[2]:  # noqa: PLR2004
            columns = floats(output)[0]
            return Candidates(scaled(columns[:4].T, spec.boxes, geometry), columns[4:].T)
    return None


def _head(parts: list[Output], box_channels: int) -> list[Output] | None:
    """Take one tensor with all, or boxes and classes; a third one, the sum of the classes, is left (RKNN has it)."""
    channels = [part.shape[1] for part in parts]
    if len(parts) == 1:
        return parts if channels[0] > box_channels else None
    if box_channels not in channels:
        return None
    at = channels.index(box_channels)
    others = [part for index, part in enumerate(parts) if index != at]
    return [parts[at], others[0]]


def _from_heads(raw: list[Floats], wanted: list[Grid], bins: int) -> Candidates:
    boxes = [
        around(grid.places() + 0.5, distances(head[:, : 4 * bins], bins)) * grid.stride
        for head, grid in zip(raw, wanted, strict=True)
    ]
    scores = probabilities(np.concatenate([head[:, 4 * bins :] for head in raw]))
    return Candidates(np.concatenate(boxes), scores)
