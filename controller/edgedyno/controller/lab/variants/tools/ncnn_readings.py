"""What the layers of a model read on calibration images, and how: with one scale for all channels or one for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.variants.tools.ncnn_calibration import count, measure
from edgedyno.controller.lab.variants.tools.ncnn_equalize import reader_factors
from edgedyno.controller.lab.variants.tools.ncnn_int8 import Quantized, handed_on, quantize, readers
from edgedyno.controller.lab.variants.tools.ncnn_ranges import clip_at

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_model import Model
    from edgedyno.controller.lab.variants.tools.ncnn_run import Network
    from edgedyno.controller.lab.variants.tools.ncnn_statistics import Statistics

    Floats = NDArray[np.float32]

# Largest divisor in parts of the smallest: below it nothing is to be gained.
_UNEVEN = 1.5


class Readings(NamedTuple):
    """A model in float and what its layers read, by their place in the graph; not those that see only zeros."""

    model: Model
    views: dict[int, Statistics]
    divisors: dict[int, Floats]
    """Of layers that read each channel divided by a number; their views are of the quotients."""

    def clips(self, method: str) -> dict[int, float]:
        """Return the magnitude at which each layer's input is clipped."""
        known: dict[int, float] = {}
        return {
            index: known.setdefault(id(view), clip_at(view, method) if id(view) not in known else 0.0)
            for index, view in self.views.items()
        }

    def quantized(
        self, clips: Mapping[int, float], keep_float: Collection[int] = (), *, correct_bias: bool = True
    ) -> Quantized:
        """Return the model in INT8 with these clips, but for the layers that stay in float."""
        used = {index: clip for index, clip in clips.items() if index not in keep_float}
        means = {index: self.views[index].channel_means() for index in used} if correct_bias else None
        return quantize(self.model.graph, self.model.weights, used, means, self.divisors)


def read(
    model: Model,
    network: Network,
    calibration: Sequence[str],
    inputs: Mapping[int, str],
    *,
    per_channel: bool,
    histograms: bool,
) -> Readings:
    """Run the calibration images through the network; `inputs` names the blob that each layer reads."""
    statistics = measure(network, list(dict.fromkeys(inputs.values())), calibration)
    used = {index: blob for index, blob in inputs.items() if statistics[blob].largest > 0}
    divisors = _divisors(model, used, statistics) if per_channel else {}
    views = {
        index: statistics[blob].divided(divisors[index]) if index in divisors else statistics[blob]
        for index, blob in used.items()
    }
    if histograms:
        by_blob: dict[str, dict[int, Statistics]] = {}
        for index, blob in used.items():
            by_blob.setdefault(blob, {})[id(views[index])] = views[index]
        count(network, {blob: list(each.values()) for blob, each in by_blob.items()}, calibration)
    return Readings(model, views, divisors)


def _divisors(
    model: Model, inputs: Mapping[int, str], statistics: Mapping[str, Statistics]
) -> dict[int, Floats]:
    """Return divisors for the layers that read floats with channels of different size."""
    graph = model.graph
    consumers = graph.consumers()
    integers = handed_on(graph, dict.fromkeys(inputs, 1.0))
    handed = {at for index in integers for at in readers(graph, consumers, graph.layers[index].tops[0])}
    found = {}
    for index, blob in inputs.items():
        if index in handed or not statistics[blob].images:
            continue
        each = reader_factors(graph.layers[index], model.weights[index], statistics[blob].channel_peaks())
        if each is not None and each.max() > _UNEVEN * each.min():
            found[index] = each
    return found
