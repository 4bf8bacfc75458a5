"""Equal ranges for the channels between two layers, without changing what the network computes.

ncnn has one scale for a layer's whole input, so a channel of small values gets few of the 255 levels. Where a
convolution's output goes only to convolutions, and only a positively homogeneous activation (none, ReLU, leaky ReLU)
stands between, each channel may be divided by any positive factor before, and multiplied after (M. Nagel et al.,
"Data-free quantization through weight equalization and bias correction", ICCV 2019, arXiv 1906.04721). Before, that
costs nothing: weights have a scale per output channel. After, it costs nothing in a depthwise convolution, which has
a scale per channel too; in others the factor is shared between values and weights, half to each in the exponent
(as in G. Xiao et al., "SmoothQuant", ICML 2023, arXiv 2211.10438).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_int8 import CONVOLUTIONS, readers
from edgedyno.controller.lab.variants.tools.ncnn_weights import Array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer
    from edgedyno.controller.lab.variants.tools.ncnn_weights import Weights

    Floats = NDArray[np.float32]

_HOMOGENEOUS = frozenset({0, 1, 2})
"""ncnn's numbers of no activation, ReLU and leaky ReLU."""
# A channel's factor to the largest: beyond this, rounding noise of others would be all that is gained.
_LEAST = 1e-3


class Joint(NamedTuple):
    """A layer, and all the layers that read its output."""

    before: int
    blob: str
    after: list[int]


def joints(graph: Graph, layers: Sequence[int]) -> list[Joint]:
    """Return where channels can be equalized between `layers`."""
    consumers = graph.consumers()
    found = []
    for index in layers:
        layer = graph.layers[index]
        behind = readers(graph, consumers, layer.tops[0])
        free = layer.type == "Convolution" or _is_depthwise(layer)
        if (
            free
            and layer.integer(9) in _HOMOGENEOUS
            and behind
            and all(_takes(graph, layers, at) for at in behind)
        ):
            found.append(Joint(index, layer.tops[0], behind))
    return found


def _takes(graph: Graph, layers: Sequence[int], index: int) -> bool:
    layer = graph.layers[index]
    padding = float(layer.params.get(18, "0"))
    return index in layers and padding == 0 and (layer.type == "Convolution" or _is_depthwise(layer))


def _is_depthwise(layer: Layer) -> bool:
    return (
        layer.type == "ConvolutionDepthWise"
        and layer.integer(7, 1) == layer.integer(0)
        and _one_to_one(layer)
    )


def _one_to_one(layer: Layer) -> bool:
    width = layer.integer(1)
    return layer.integer(6) == layer.integer(0) * width * layer.integer(11, width)


def equalize(
    graph: Graph, weights: Sequence[Weights], places: Sequence[Joint], peaks: Mapping[str, Floats]
) -> list[Weights]:
    """Return weights for the same function with balanced channels; `peaks` are the channels' magnitudes, by blob."""
    found = [dict(arrays) for arrays in weights]
    for joint in places:
        factors = _factors(graph, found, joint, peaks[joint.blob])
        _divide_outputs(found[joint.before], factors)
        for index in joint.after:
            _multiply_inputs(graph.layers[index], found[index], factors)
    return found


def _factors(graph: Graph, weights: Sequence[Weights], joint: Joint, peaks: Floats) -> Floats:
    heights = np.maximum(peaks / max(float(peaks.max()), 1e-30), _LEAST)
    dense = [
        index for index in joint.after if graph.layers[index].type in CONVOLUTIONS - {"ConvolutionDepthWise"}
    ]
    if not dense:
        return np.asarray(np.where(peaks > 0, heights, 1.0), np.float32)
    widths = np.max(
        [_input_magnitudes(graph.layers[index], weights[index], peaks.size) for index in dense], axis=0
    )
    widths = np.maximum(widths / max(float(widths.max()), 1e-30), _LEAST)
    return np.asarray(np.where(peaks > 0, np.sqrt(heights / widths), 1.0), np.float32)


def _input_magnitudes(layer: Layer, arrays: Weights, inputs: int) -> Floats:
    """Return each input channel's largest weight, relative to the largest of the output channel it adds to."""
    rows = np.abs(arrays["weight"].values).reshape(layer.integer(0), inputs, -1).max(axis=2)
    largest = rows.max(axis=1, keepdims=True)
    return np.asarray((rows / np.where(largest > 0, largest, 1.0)).max(axis=0), np.float32)


def _divide_outputs(arrays: Weights, factors: Floats) -> None:
    for name in ("weight", "bias"):
        if name in arrays:
            array = arrays[name]
            values = array.values.reshape(factors.size, -1) / factors[:, None]
            arrays[name] = _rescaled(array, values)


def _multiply_inputs(layer: Layer, arrays: Weights, factors: Floats) -> None:
    array = arrays["weight"]
    shape = (1, factors.size, -1) if _is_depthwise(layer) else (layer.integer(0), factors.size, -1)
    values = array.values.reshape(shape) * factors[None, :, None]
    arrays["weight"] = _rescaled(array, values)


def _rescaled(array: Array, values: NDArray[Any]) -> Array:
    """Return the array with new values, which FP16 would round a second time."""
    return Array(values.reshape(-1).astype(np.float32), "raw" if array.storage == "raw" else "fp32")
