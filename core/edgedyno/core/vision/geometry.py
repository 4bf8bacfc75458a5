"""Where an image's pixels went in the model's input, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Geometry:
    """How original pixels map to input pixels: input = original * scale + offset."""

    width: int
    """Of the original image, upright."""
    height: int
    input_width: int
    input_height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0

    def to_original(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map rows of left, top, right, bottom from input pixels to original pixels."""
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        return np.asarray((corners - offset) / scale, dtype=np.float32)

    def clip(self, corners: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut boxes in original pixels off at the image's edges."""
        return corners.clip(0, np.array([self.width, self.height] * 2, np.float32))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model's input for one image, batch axis included, and the way back to the image."""

    tensor: NDArray[np.float32]
    geometry: Geometry
