"""NanoDet and NanoDet-Plus: classes and distributions of distances, in one tensor or one or two a stride."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.vision.decoders.base import around, distances, floats, grids, heads, probabilities
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.vision.decoders.base import Floats, Grid, Output, Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = (
    "[1, cells of all strides, classes + 4 x bins], or for each stride that with its own cells, "
    "or [1, cells, classes] and [1, cells, 4 x bins], or the same with rows and columns"
)
# NanoDet has three grids, NanoDet-Plus four; the number of cells tells them apart.
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
BINS = 8


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode rows of classes and distributions, as the GFL head has them; None where no form of these is there."""
    bins = spec.bins or BINS
    for strides in (tuple(spec.strides),) if spec.strides else STRIDES[::-1]:
        wanted = grids(strides, geometry)
        rows = _rows(outputs, wanted, 4 * bins)
        if rows is not None:
            return _decode(rows, wanted, bins, spec.cell_centre)
    return None


def _decode(rows: Floats, wanted: list[Grid], bins: int, centre: float) -> Candidates:
    stride = np.concatenate([np.full((grid.cells, 1), grid.stride, np.float32) for grid in wanted])
    centres = np.concatenate([grid.places() for grid in wanted]) + np.float32(centre)
    boxes = around(centres, distances(rows[:, -4 * bins :], bins)) * stride
    return Candidates(boxes, probabilities(rows[:, : -4 * bins]))


def _rows(outputs: Outputs, wanted: list[Grid], box_channels: int) -> Floats | None:
    flat = [output[0] if output.ndim == 3 and output.shape[0] == 1 else output for output in outputs]  # noqa: PLR2004
    flat = [output for output in flat if output.ndim == 2]  # noqa: PLR2004 - cells, channels
    cells = sum(grid.cells for grid in wanted)
    whole = _head([output for output in flat if len(output) == cells], box_channels)
    if whole is not None:
        return _side_by_side(whole)
    each = [_head([output for output in flat if len(output) == grid.cells], box_channels) for grid in wanted]
    if all(part is not None for part in each):
        return np.concatenate([_side_by_side(part) for part in each if part is not None])
    found = heads(outputs, wanted, lambda parts: _head(parts, box_channels))
    return None if found is None else np.concatenate(found)


def _head(parts: list[Output], box_channels: int) -> list[Output] | None:
    """Take one tensor with classes first, or two: the one with a distribution's channels last."""
    channels = [part.shape[1] for part in parts]
    if len(parts) == 1 and channels[0] > box_channels:
        return parts
    if len(parts) != 2 or box_channels not in channels:  # noqa: PLR2004 - classes, distances
        return None
    return parts if channels[1] == box_channels else parts[::-1]


def _side_by_side(parts: list[Output]) -> Floats:
    return np.concatenate([floats(part) for part in parts], axis=1)
