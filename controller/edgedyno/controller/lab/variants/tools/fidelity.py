"""How near a variant's outputs are to the original's, without any labels.

A builder has images but no annotations. What it can say is how far each channel of each output moved, in parts
of that channel's own peak: boxes in pixels and probabilities count alike then.
"""

from collections.abc import Sequence
from typing import Any

METRIC = "1 - mean over output channels of root mean square error / peak of the FP32 model (no labels)"
# Below it a channel is silent on all images, and a part of its peak means nothing.
_SILENT = 1e-6


class Fidelity:
    """Compares with the reference outputs of a list of images."""

    def __init__(self, reference: Sequence[Sequence[Any]]) -> None:
        import numpy as np

        self._reference = reference
        count = len(reference[0])
        self._peaks = [
            np.max([np.abs(_channels(outputs[index])).max(axis=1) for outputs in reference], axis=0)
            for index in range(count)
        ]

    def of_image(self, position: int, outputs: Sequence[Any]) -> float:
        """Return 1 where the outputs for this image equal the reference, less where they differ."""
        import numpy as np

        parts: list[Any] = []
        for found, wanted, peaks in zip(outputs, self._reference[position], self._peaks, strict=True):
            errors = np.sqrt(((_channels(found) - _channels(wanted)) ** 2).mean(axis=1))
            heard = peaks > _SILENT
            parts.append(errors[heard] / peaks[heard])
        errors = np.concatenate(parts)
        return float(1.0 - errors.mean()) if errors.size else 1.0


def _channels(output: Any) -> Any:
    """Return the output with one row for each channel: axis 1 of four, the shorter of two after the batch."""
    import numpy as np

    array = np.asarray(output, np.float64)
    if array.ndim == 4:  # noqa: PLR2004 - batch, channels, height, width
        axis = 1
    elif array.ndim == 3:  # noqa: PLR2004 - batch, and boxes by values or values by boxes
        axis = 1 if array.shape[1] < array.shape[2] else 2
    else:
        return array.reshape(1, -1)
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
