"""What to choose by trying: the method whose outputs come nearest to FP32, and what has to stay in float.

A builder has no labels. Nearness on a few calibration images (see `fidelity`) decides; it is no accuracy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.fewest import fewest
from edgedyno.controller.lab.variants.tools.fidelity import METRIC, Fidelity
from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_ranges import METHODS
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from edgedyno.controller.lab.variants.tools.ncnn_readings import Readings
    from edgedyno.controller.lab.variants.tools.ncnn_run import Network

# Errors count in parts of a channel's peak, and a class that no image shows has none to speak of: on 8 images that
# made another method the best than on 35.
_MAX_IMAGES = 32
_MAX_RANKING_IMAGES = 3


class Judge:
    """Compares variants with the float model on some of the calibration images, spread over all of them."""

    def __init__(self, reference: Network, calibration: Sequence[str], scratch: Path) -> None:
        step = max(1, len(calibration) // _MAX_IMAGES)
        self._tensors = [np.load(path) for path in calibration[::step][:_MAX_IMAGES]]
        self._fidelity = Fidelity([_batched(reference.run(tensor)) for tensor in self._tensors])
        self._files = Files(scratch / "tried")
        self.images = len(self._tensors)
        self.tries = 0

    def drop(self, model: Model, images: int = _MAX_IMAGES) -> float:
        """Return 0 where the model computes what the float model does, more where it does not."""
        self.tries += 1
        network = self._files.write(model)
        values = [
            self._fidelity.of_image(place, _batched(network.run(tensor)))
            for place, tensor in enumerate(self._tensors[:images])
        ]
        return 1.0 - sum(values) / len(values)


def _batched(outputs: Sequence[Any]) -> list[Any]:
    """Return the outputs with the batch that ncnn drops."""
    return [output[None] for output in outputs]


def nearest_method(
    readings: Readings, judge: Judge, keep_float: Collection[int], *, correct_bias: bool
) -> tuple[str, dict[str, float]]:
    """Return the method with the least drop, and the drop of each."""
    drops = {}
    for method in METHODS:
        made = readings.quantized(readings.clips(method), keep_float, correct_bias=correct_bias)
        drops[method] = judge.drop(Model(made.graph, made.weights))
    return min(drops, key=lambda method: drops[method]), {
        method: round(value, 6) for method, value in drops.items()
    }


def leave_in_float(
    readings: Readings,
    clips: Mapping[int, float],
    judge: Judge,
    limit: float,
    *,
    correct_bias: bool,
) -> tuple[list[int], dict[str, Any]]:
    """Return the fewest of the most sensitive layers that keep the drop within the limit when they stay in float.

    Costs one small run for each layer, and two for each doubling of the answer. Raises BuildError
    (variant.accuracy) with the nearest miss.
    """
    drops: dict[int, float] = {}
    ranked: list[int] = []

    def drop(count: int) -> float:
        if count and not ranked:
            ranked.extend(_ranked(readings, clips, judge, correct_bias=correct_bias))
        if count not in drops:
            made = readings.quantized(clips, ranked[:count], correct_bias=correct_bias)
            drops[count] = judge.drop(Model(made.graph, made.weights))
        return drops[count]

    count = fewest(drop, len(clips), limit)
    if count is None:
        near = min(drops, key=lambda number: drops[number])
        raise BuildError(
            "variant.accuracy",
            f"no choice of layers to leave in float keeps the drop within {limit:g} ({METRIC}): the nearest "
            f"has {drops[near]:.4f} with {near} of {len(clips)} layers in float",
        )
    return ranked[:count], {
        "metric": METRIC,
        "allowed_drop": limit,
        "drop": round(drops[count], 6),
        "tried": [{"layers_in_float": number, "drop": round(value, 6)} for number, value in drops.items()],
        "tries": judge.tries,
        "images": judge.images,
    }


def _ranked(readings: Readings, clips: Mapping[int, float], judge: Judge, *, correct_bias: bool) -> list[int]:
    """Return the layers by the drop that each causes when it alone is INT8, worst first."""
    alone = {}
    for index in clips:
        made = readings.quantized({index: clips[index]}, correct_bias=correct_bias)
        alone[index] = judge.drop(Model(made.graph, made.weights), _MAX_RANKING_IMAGES)
    return sorted(alone, key=lambda index: -alone[index])
