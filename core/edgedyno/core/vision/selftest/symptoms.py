"""What tensors tell without any label: numbers that are none, a dead output, an input that does not fit its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import Struct

from edgedyno.core.vision.selftest.activation import scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedyno.core.vision.decoders.base import Floats, Output, Outputs

NOT_A_NUMBER = "output.not-a-number"
CONSTANT = "output.constant"
CLIPPED = "calibration.clipped"
SHARED_SCALE = "quantization.shared-scale"

# A photograph spans over 100 of 256 levels; below 16 its shapes are gone.
_FEWEST_LEVELS = 16
# Of the pixels: a file's own calibration clips a few highlights.
_MOST_BEYOND = 0.2
# Outputs of INT8 span 0.9 to 1.2 of FP32's, whatever its accuracy; calibrated on a tenth of the range, 0.07 to 0.44.
_LEAST_SPAN = 0.6
# Likewise of the highest score: 0.05 to 0.5 of FP32's with a tenth to half of the range; with ranges ten times too
# wide, which cost as much accuracy, 0.8 to 1.
_LEAST_TOP = 0.5
# Scores are probabilities: 1 in this many steps is all that tells sure from unsure.
_LARGEST_STEP = 0.1


class InputTensor(NamedTuple):
    """A model's input as its file declares it."""

    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def limits(self) -> tuple[int, int] | None:
        """Return the least and the largest of its integers; None of a float type."""
        try:
            found = np.iinfo(self.dtype)
        except (TypeError, ValueError):
            return None
        return int(found.min), int(found.max)


class Spread(Struct, frozen=True):
    """How an output's numbers are spread."""

    shape: list[int]
    low: float
    high: float


class Traits(Struct, frozen=True):
    """What of one image's outputs is compared between variants."""

    outputs: list[Spread]
    top_score: float | None = None
    """The highest of the scores as they come out; None where they have no place of their own."""
    score_step: float | None = None
    """The least distance between two scores; 0 where all are the same."""


def traits(outputs: Outputs, decoder: str) -> Traits:
    """Return how the finite numbers of each output are spread, and its scores."""
    spread = []
    for output in outputs:
        values = _finite(output)
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
        spread.append(Spread(list(output.shape), low, high))
    scores = _scores(outputs, decoder)
    if scores is None:
        return Traits(spread)
    levels = np.unique(scores)
    step = float(np.diff(levels).min()) if levels.size > 1 else 0.0
    return Traits(spread, float(levels[-1]), step)


def _finite(output: Output) -> Floats:
    values = np.asarray(output, np.float32)
    return values[np.isfinite(values)]


def _scores(outputs: Outputs, decoder: str) -> Floats | None:
    if decoder == "classify":
        found = [np.asarray(output) for output in outputs]
    else:
        places = ((np.asarray(output), scores_of(output, decoder)) for output in outputs)
        found = [output[place] for output, place in places if place is not None]
    values = _finite(found[0]) if found else None
    return values if values is not None and values.size else None


def not_a_number(outputs: Outputs) -> str | None:
    """Say how many numbers of the outputs are NaN or infinite; None: all are finite."""
    flat = [np.asarray(output, np.float32) for output in outputs]
    wrong = sum(int(np.count_nonzero(~np.isfinite(output))) for output in flat)
    if not wrong:
        return None
    return f"{wrong} of its {sum(output.size for output in flat)} output numbers are NaN or infinite"


def constant(one: Outputs, other: Outputs) -> str | None:
    """Say that two different images give the same outputs; None: they do not."""
    same = len(one) == len(other) and all(
        a.shape == b.shape and np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )
    return "its outputs are the same for two different images, number by number" if same and one else None


def unfit_input(tensor: Floats, declared: InputTensor) -> str | None:
    """Say that a prepared image does not fit the integers of the model's input; None: it does."""
    limits = declared.limits()
    if limits is None or not declared.scale:
        return None
    zero, scale = declared.zero_point or 0, declared.scale
    levels = np.rint(np.asarray(tensor, np.float64) / scale) + zero
    low, high = limits
    beyond = float(np.mean((levels < low) | (levels > high)))
    used = np.unique(levels.clip(low, high)).size
    holds = f"its {declared.dtype} input holds {(low - zero) * scale:.3g} to {(high - zero) * scale:.3g}"
    if beyond > _MOST_BEYOND:
        return f"{holds}, and {beyond:.0%} of the prepared numbers lie beyond that"
    if used < _FEWEST_LEVELS:
        return f"{holds}, and the whole prepared image falls onto {used} of its {high - low + 1} levels"
    return None


def clipped(found: Traits, reference: Traits) -> str | None:
    """Say that all outputs span far less than FP32's on the same image, or that scores end far below; None: no."""
    pairs = _matched(found.outputs, reference.outputs)
    spans = [(one.high - one.low) / (ours.high - ours.low) for one, ours in pairs if ours.high > ours.low]
    if spans and max(spans) < _LEAST_SPAN:
        one, ours = pairs[0]
        return (
            f"its outputs span {max(spans):.0%} of what FP32's do on the same image: they end at {one.low:.3g} and "
            f"{one.high:.3g}, FP32's at {ours.low:.3g} and {ours.high:.3g}"
        )
    tops = found.top_score, reference.top_score
    if tops[0] is not None and tops[1] is not None and tops[0] <= _LEAST_TOP * tops[1]:
        return f"no score of its output is above {tops[0]:.2f}, where FP32's go to {tops[1]:.2f}"
    return None


def coarse(found: Traits, reference: Traits) -> str | None:
    """Say that scores move in steps that they do not survive, where FP32's do not; None: they do not either."""
    step = found.score_step
    if step is None or reference.score_step is None or not step > _LARGEST_STEP > reference.score_step:
        return None
    return (
        f"its scores move in steps of {step:.3g}, and lie between 0 and 1: they share one scale with boxes that "
        f"go to {max(each.high for each in found.outputs):.3g}"
    )


def _matched(found: list[Spread], reference: list[Spread]) -> list[tuple[Spread, Spread]]:
    """Pair outputs by size, one by one: formats turn their axes and have their own order."""
    left = list(reference)
    pairs = []
    for one in found:
        size = int(np.prod(one.shape))
        match = next((each for each in left if int(np.prod(each.shape)) == size), None)
        if match is not None:
            left.remove(match)
            pairs.append((one, match))
    return pairs


def mirrored(tensor: Floats, layout: str) -> NDArray[np.float32]:
    """Return the image turned left to right: another image at no cost."""
    axis = 3 if layout == "NCHW" else 2
    return np.ascontiguousarray(np.flip(np.asarray(tensor), axis=axis))
