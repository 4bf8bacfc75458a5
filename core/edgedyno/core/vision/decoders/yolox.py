"""YOLOX: boxes relative to their grid cell, objectness and classes; one row of all grids, or a tensor each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.vision.decoders.base import STRIDES, floats, grids, heads
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.vision.decoders.base import Floats, Grid, Output, Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = "[1, cells of all strides, 5 + classes], or [1, 5 + classes, rows, columns] for each stride"
# exp(20) strides are far outside any image; a broken quantization must not overflow into warnings.
_MAX_LOG_SIDE = 20.0
_LEAST = 6


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode rows of dx, dy, log w, log h, objectness, classes; None where no output has a form of these."""
    wanted = grids(spec.strides or STRIDES, geometry)
    rows = _rows(outputs, wanted)
    if rows is None:
        return None
    cell = np.concatenate([grid.places() for grid in wanted])
    stride = np.concatenate([np.full((grid.cells, 1), grid.stride, np.float32) for grid in wanted])
    centres = (rows[:, :2] + cell) * stride
    sizes = np.exp(np.minimum(rows[:, 2:4], _MAX_LOG_SIDE)) * stride
    return Candidates(np.concatenate([centres, sizes], 1), rows[:, 4:5] * rows[:, 5:])


def _rows(outputs: Outputs, wanted: list[Grid]) -> Floats | None:
    cells = sum(grid.cells for grid in wanted)
    for output in outputs:
        if output.ndim == 3 and output.shape[:2] == (1, cells) and output.shape[2] >= _LEAST:  # noqa: PLR2004
            return floats(output).reshape(cells, -1)
    found = heads(outputs, wanted, _whole)
    return None if found is None else np.concatenate(found)


def _whole(parts: list[Output]) -> list[Output] | None:
    """Take a grid's one tensor, or its boxes, objectness and classes where the model leaves them apart."""
    channels = [part.shape[1] for part in parts]
    if len(parts) == 1 and channels[0] >= _LEAST:
        return parts
    return parts if channels[:2] == [4, 1] and len(parts) == 3 else None  # noqa: PLR2004
