"""A model's raw output becomes boxes in pixels of the original image, or classes.

Each decoder turns its format into candidates: boxes in input pixels and a score per class. What follows is
the same for all of them and stands in `suppression`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision.decoders import fastestdet, nanodet, ssd, yolov5, yolov8, yolox
from edgedyno.core.vision.decoders.base import floats
from edgedyno.core.vision.suppression import suppress

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.result import Detection
    from edgedyno.core.vision.decoders.base import Floats, Outputs
    from edgedyno.core.vision.geometry import Geometry
    from edgedyno.core.vision.suppression import Candidates

    Read = Callable[[Outputs, OutputSpec, Geometry], Candidates | None]

DECODERS: dict[str, tuple[str, Read]] = {
    "yolox": (yolox.EXPECTS, yolox.read),
    "fastestdet": (fastestdet.EXPECTS, fastestdet.read),
    "yolov5": (yolov5.EXPECTS, yolov5.read),
    "yolov8": (yolov8.EXPECTS, yolov8.read),
    "nanodet": (nanodet.EXPECTS, nanodet.read),
    "ssd": (ssd.EXPECTS, ssd.read),
}
# Of FP16's rounding, and of few classes in INT8.
_SUM_SLACK = 0.02
_MOST_SLACK = 0.9


def decode(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> list[Detection]:
    """Return the boxes in a model's `outputs` for one image, best first, after class-wise suppression.

    Raises ConfigError (output.shape, output.dtype, output.ambiguous, output.anchors, output.priors) when the
    outputs have no form of the decoder's, RunError (output.not-a-number) when the model computed NaN.
    """
    if spec.decoder not in DECODERS:
        raise ConfigError(
            f"found decoder {spec.decoder!r}, expected one of {', '.join(DECODERS)} for boxes",
            code="output.decoder",
        )
    expects, read = DECODERS[spec.decoder]
    candidates = read(outputs, spec, geometry)
    if candidates is None:
        raise _unfit(outputs, spec.decoder, expects)
    return suppress(candidates, spec, geometry)


def decode_classes(outputs: Outputs, spec: OutputSpec, *, limit: int = 5) -> list[tuple[int, float]]:
    """Return the best `limit` classes with their probabilities, best first; ties go to the lower index.

    Scores that do not add up to 1, but for rounding to 8 bits, are taken to be logits. A background class is left
    out, with its probability.
    """
    output = next((each for each in outputs if _is_classes(each.shape)), None)
    if output is None:
        raise _unfit(outputs, spec.decoder, "[1, classes]")
    given = floats(output).reshape(-1)
    scores = given if _is_distribution(given) else _softmax(given)
    scores = scores[int(spec.background) :]
    best = np.argsort(-scores, kind="stable")[:limit]
    return [(int(index), float(scores[index])) for index in best]


def count_classes(outputs: Outputs, spec: OutputSpec, geometry: Geometry) -> int | None:
    """Return how many classes the outputs have scores for; None where they do not tell (SSD's) or do not fit."""
    if spec.decoder == "classify":
        output = next((each for each in outputs if _is_classes(each.shape)), None)
        return None if output is None else int(output.size) - int(spec.background)
    if spec.decoder == "ssd" or spec.decoder not in DECODERS:
        return None
    candidates = DECODERS[spec.decoder][1](outputs, spec, geometry)
    return None if candidates is None else int(candidates.scores.shape[1])


def _unfit(outputs: Outputs, decoder: str, expected: str) -> ConfigError:
    found = ", ".join(str(list(output.shape)) for output in outputs) or "no output"
    return ConfigError(
        f"found output {found}, expected {expected} for decoder {decoder!r}", code="output.shape"
    )


def _is_classes(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 1 and max(shape) > 1 and int(np.prod(shape)) == max(shape)


def _softmax(x: Floats) -> Floats:
    exponentials = np.exp(x - x.max())
    return np.asarray(exponentials / exponentials.sum(), np.float32)


def _is_distribution(x: Floats) -> bool:
    """Tell whether numbers are probabilities: INT8 rounds each of many small ones away, or up to 1/256."""
    slack = min(max(_SUM_SLACK, x.size / 512), _MOST_SLACK)
    return bool(x.min() >= 0 and x.max() <= 1 + _SUM_SLACK and abs(float(x.sum()) - 1.0) < slack)
