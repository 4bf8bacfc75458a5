"""Scores of raw outputs put through a sigmoid that is missing, or taken back from one that is doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedyno.core.vision.decoders.base import sigmoid

if TYPE_CHECKING:
    from edgedyno.core.vision.decoders.base import Floats, Output, Outputs

Activation = Literal["", "missing", "doubled"]
# A score of 1 stands for infinity: 1 - 1e-6 is as sure as any model gets.
_EDGE = 1e-6
_SIGMOID_OF_ONE = 0.7311
_SLACK = 0.02  # for rounding to 8 bits


def activated(outputs: Outputs, decoder: str, activation: Activation) -> Outputs:
    """Return the outputs as they were if the model's last activation was not `missing`, or not `doubled`.

    Boxes stay as they are. Outputs in which a decoder's scores have no fixed place come back unchanged.
    """
    if not activation:
        return outputs
    return [_one(np.asarray(output), decoder, activation) for output in outputs]


def _one(output: Output, decoder: str, activation: Activation) -> Output:
    if output.dtype.kind != "f":
        return output
    if decoder == "classify":
        return _softmax_undone(output) if activation == "doubled" else output
    places = scores_of(output, decoder)
    if places is None:
        return output
    changed = output.astype(np.float32)
    part = changed[places]
    if not _may_be(part, activation):
        return output
    changed[places] = sigmoid(part) if activation == "missing" else _logit(part)
    return changed


def _may_be(scores: Floats, activation: Activation) -> bool:
    """Tell whether scores lie where they do if that is amiss: beyond probabilities, or within a sigmoid of them."""
    if not scores.size or not np.isfinite(scores).all():
        return False
    low, high = float(scores.min()), float(scores.max())
    if activation == "missing":
        return low < -_SLACK or high > 1 + _SLACK
    return low >= sigmoid(np.zeros(1, np.float32))[0] - _SLACK and high <= _SIGMOID_OF_ONE + _SLACK


def scores_of(output: Output, decoder: str) -> tuple[slice, ...] | None:
    """Return where an output's scores lie, of those of a decoder's forms in which they have a place."""
    every = slice(None)
    if decoder in ("yolox", "yolov5") and output.ndim == 3:  # noqa: PLR2004 - rows of all boxes
        return (every, every, slice(4, None))
    if decoder == "yolov8" and output.ndim == 3:  # noqa: PLR2004 - columns of all boxes
        return (every, slice(4, None), every)
    if decoder == "fastestdet" and output.ndim == 4:  # noqa: PLR2004 - only its objectness has a sigmoid
        return (every, slice(0, 1), every, every)
    return None


def _logit(scores: Floats) -> Floats:
    inside = scores.clip(_EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)).clip(0, 1), np.float32)


def _softmax_undone(output: Output) -> Output:
    """Return what a softmax over probabilities was made of: probabilities, up to what rounding leaves."""
    flat = output.astype(np.float64)
    if flat.size == 0 or flat.min() <= 0 or flat.max() > (np.e + _SLACK) * flat.min():
        return output
    logs = np.log(flat)
    return np.asarray(logs - logs.min(), np.float32)
