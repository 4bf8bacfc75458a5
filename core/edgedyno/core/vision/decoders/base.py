"""What decoders share: checked outputs, grids of cells, heads by their grid, and distances from a cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.errors import ConfigError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgedyno.core.vision.geometry import Geometry

    Output = NDArray[np.generic]
    Outputs = Sequence[Output]
    Floats = NDArray[np.float32]

STRIDES = (8, 16, 32)


class Grid(NamedTuple):
    """Cells of one stride."""

    rows: int
    columns: int
    stride: int

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    def places(self) -> Floats:
        """Return column and row of each cell, row by row."""
        row, column = np.divmod(np.arange(self.cells), self.columns)
        return np.column_stack([column, row]).astype(np.float32)


def grids(strides: Sequence[int], geometry: Geometry) -> list[Grid]:
    """Return the grid of each stride; a cell that the input's edge cuts counts."""
    return [
        Grid(math.ceil(geometry.input_height / stride), math.ceil(geometry.input_width / stride), stride)
        for stride in strides
    ]


def floats(output: Output) -> Floats:
    """Return an output as float32.

    Raises ConfigError (output.dtype) for integers, RunError (output.not-a-number) for NaN.
    """
    if output.dtype.kind != "f":
        raise ConfigError(
            f"found an output of {output.dtype}, expected float (integers need their scale and zero point)",
            code="output.dtype",
        )
    if output.size and np.isnan(output.min()):  # the smallest of values with NaN among them is NaN
        raise RunError("the model's output holds NaN", code="output.not-a-number")
    return output.astype(np.float32, copy=False)


def heads(
    outputs: Outputs, wanted: Sequence[Grid], choose: Callable[[list[Output]], list[Output] | None]
) -> list[Floats] | None:
    """Return for each grid its head as rows of cells and columns of channels; None where they do not fit.

    A head is one tensor of a grid, or several side by side: `choose` gets a grid's tensors, as [cells,
    channels] in the model's order, and returns what it takes, or None. All heads are of one layout, channels
    first or last: the one in which more of the tensors have a place. Raises ConfigError (output.ambiguous)
    where both would do.
    """
    readings = {
        last: _read(outputs, wanted, choose, channels_last=last)
        for last in (False, True)
        if _placed(outputs, wanted, channels_last=last) >= _placed(outputs, wanted, channels_last=not last)
    }
    found = [reading for reading in readings.values() if reading is not None]
    if len(found) > 1:
        shapes = ", ".join(str(list(output.shape)) for output in outputs)
        raise ConfigError(
            f"found outputs {shapes}, which fit with channels first and with channels last",
            code="output.ambiguous",
        )
    return found[0] if found else None


def _read(
    outputs: Outputs,
    wanted: Sequence[Grid],
    choose: Callable[[list[Output]], list[Output] | None],
    *,
    channels_last: bool,
) -> list[Floats] | None:
    read = []
    for grid in wanted:
        chosen = choose(_of_grid(outputs, grid, channels_last=channels_last))
        if not chosen:
            return None
        read.append(np.concatenate([floats(part) for part in chosen], axis=1))
    return read


def _placed(outputs: Outputs, wanted: Sequence[Grid], *, channels_last: bool) -> int:
    return sum(len(_of_grid(outputs, grid, channels_last=channels_last)) for grid in wanted)


def _of_grid(outputs: Outputs, grid: Grid, *, channels_last: bool) -> list[Output]:
    places = (1, 2) if channels_last else (2, 3)
    found = []
    for output in outputs:
        fits = output.ndim == 4 and output.shape[0] == 1  # noqa: PLR2004 - a picture: batch, height, width, channels
        if fits and tuple(output.shape[place] for place in places) == grid[:2]:
            moved = output[0] if channels_last else np.moveaxis(output[0], 0, -1)
            found.append(moved.reshape(grid.cells, -1))
    return found


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)), np.float32)


def probabilities(x: Floats) -> Floats:
    """Return scores as probabilities: through a sigmoid, unless the model did that already.

    They are told apart by their range: of the logits of a whole image nearly all are far below 0.
    """
    slack = 0.01  # a quantized 1 may stand for a little more
    done = x.size == 0 or (x.min() >= -slack and x.max() <= 1 + slack)
    return x if done else sigmoid(x)


def distances(logits: Floats, bins: int) -> Floats:
    """Return left, top, right, bottom in cells: each the mean of a distribution over 0 to bins - 1."""
    parts = logits.reshape(len(logits), 4, bins)
    weights = np.exp(parts - parts.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    return np.asarray(weights @ np.arange(bins, dtype=np.float32), np.float32)


def around(centres: Floats, sides: Floats) -> Floats:
    """Return centre and size of boxes whose sides lie left, top, right, bottom of `centres`."""
    low, high = centres - sides[:, :2], centres + sides[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def scaled(boxes: Floats, unit: str, geometry: Geometry) -> Floats:
    """Return boxes in pixels of the input, whatever their unit."""
    if unit == "pixels":
        return boxes
    return boxes * np.array([geometry.input_width, geometry.input_height] * 2, np.float32)


def from_corners(corners: Floats) -> Floats:
    """Turn left, top, right, bottom into centre and size."""
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)
