"""FastestDet: one grid of objectness, box and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.vision.decoders.base import Grid, floats, sigmoid
from edgedyno.core.vision.suppression import Candidates

if TYPE_CHECKING:
    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.vision.decoders.base import Outputs
    from edgedyno.core.vision.geometry import Geometry

EXPECTS = "[1, 5 + classes, rows, columns]"


def read(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> Candidates | None:
    """Decode channels of objectness, dx, dy, w, h, classes, as FastestDet does."""
    del spec
    for output in outputs:
        if output.ndim == 4 and output.shape[0] == 1 and output.shape[1] > 5:  # noqa: PLR2004
            break
    else:
        return None
    rows, columns = output.shape[2:]
    channels = floats(output)[0].reshape(output.shape[1], -1).T
    size = np.array([geometry.input_width, geometry.input_height], np.float32)
    cell = size / np.array([columns, rows], np.float32)
    centres = (Grid(rows, columns, 0).places() + np.tanh(channels[:, 1:3])) * cell
    boxes = np.concatenate([centres, sigmoid(channels[:, 3:5]) * size], axis=1)
    scores = np.maximum(channels[:, :1], 0) ** 0.6 * np.maximum(channels[:, 5:], 0) ** 0.4
    return Candidates(boxes, scores)
