"""Equal ranges for the channels that a layer reads, without changing what the network computes.

ncnn has one scale for a layer's whole input, so a channel of small values gets few of the 255 levels. A free channel
(see `ncnn_channels`) may be divided by a factor where it is written and multiplied where it is read (M. Nagel et al.,
"Data-free quantization through weight equalization and bias correction", ICCV 2019, arXiv 1906.04721). Dividing costs
nothing: weights have a scale per output channel. Multiplying costs nothing in a depthwise convolution, which has a
scale per channel too; in others the factor is shared between values and weights, half to each in the exponent (as in
G. Xiao et al., "SmoothQuant", ICML 2023, arXiv 2211.10438).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_channels import Channels, inputs_of, is_depthwise
from edgedyno.controller.lab.variants.tools.ncnn_weights import Array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer
    from edgedyno.controller.lab.variants.tools.ncnn_weights import Weights

    Floats = NDArray[np.float32]

# Least magnitude beside the largest of the same blob: beyond this only rounding noise would be raised.
_LEAST = 1e-3


def free_writers(graph: Graph) -> list[int]:
    """Return the layers that write channels which can be scaled, by their place in the graph."""
    channels = Channels(graph)
    return [index for index, ids in channels.writers.items() if channels.free(ids).any()]


def equalize(graph: Graph, weights: Sequence[Weights], peaks: Mapping[int, Floats]) -> list[Weights]:
    """Return weights for the same function with balanced channels.

    `peaks` are the magnitudes of the channels that each of `free_writers` writes.
    """
    channels = Channels(graph)
    heights = _by_channel(channels, peaks)
    widths = _reading_weights(channels, graph, weights)
    factors = {
        channel: float(np.sqrt(height / widths[channel])) if channel in widths else height
        for channel, height in heights.items()
    }
    found = [dict(arrays) for arrays in weights]
    for index in peaks:
        _divide_outputs(found[index], _factors(channels, channels.writers[index], factors))
    for index, ids in channels.readers.items():
        multiply_inputs(graph.layers[index], found[index], _factors(channels, ids, factors))
    return found


def _by_channel(channels: Channels, peaks: Mapping[int, Floats]) -> dict[int, float]:
    """Return the largest magnitude of each free channel that is ever other than zero."""
    found: dict[int, float] = {}
    for index, values in peaks.items():
        ids = channels.writers[index]
        raised = np.maximum(values, _LEAST * float(values.max()))
        free = channels.free(ids) & (values > 0)
        for channel, height in zip(channels.roots(ids)[free], raised[free], strict=True):
            found[int(channel)] = max(found.get(int(channel), 0.0), float(height))
    return found


def _reading_weights(channels: Channels, graph: Graph, weights: Sequence[Weights]) -> dict[int, float]:
    """Return for each channel that a dense convolution reads its largest weight there.

    Relative to the largest weight of the output channel that it adds to, which is what its rounding depends on.
    """
    found: dict[int, float] = {}
    for index, ids in channels.readers.items():
        layer = graph.layers[index]
        if is_depthwise(layer):
            continue
        relative = _relative_widths(layer, weights[index], ids.size)
        for channel, width in zip(channels.roots(ids), relative, strict=True):
            found[int(channel)] = max(found.get(int(channel), 0.0), float(width))
    return found


def _relative_widths(layer: Layer, arrays: Weights, inputs: int) -> Floats:
    rows = np.abs(arrays["weight"].values).reshape(layer.integer(0), inputs, -1).max(axis=2)
    largest = rows.max(axis=1, keepdims=True)
    return np.asarray(
        np.maximum((rows / np.where(largest > 0, largest, 1.0)).max(axis=0), _LEAST), np.float32
    )


def reader_factors(layer: Layer, arrays: Weights, peaks: Floats) -> Floats | None:
    """Return by what each channel that the layer reads should be divided; None where it cannot be told."""
    if not (layer.type == "Convolution" or is_depthwise(layer)):
        return None
    if peaks.size != inputs_of(layer) or not peaks.any():
        return None
    heights = np.maximum(peaks, _LEAST * float(peaks.max()))
    if is_depthwise(layer):
        return heights
    return np.sqrt(heights / _relative_widths(layer, arrays, peaks.size)).astype(np.float32)


def _factors(channels: Channels, ids: NDArray[np.int64], factors: Mapping[int, float]) -> Floats:
    return np.array([factors.get(int(channel), 1.0) for channel in channels.roots(ids)], np.float32)


def _divide_outputs(arrays: Weights, factors: Floats) -> None:
    for name in ("weight", "bias"):
        if name in arrays:
            array = arrays[name]
            arrays[name] = _rescaled(array, array.values.reshape(factors.size, -1) / factors[:, None])


def multiply_inputs(layer: Layer, arrays: Weights, factors: Floats) -> None:
    """Multiply the weights by a factor for each channel that they read, in place of the dictionary."""
    array = arrays["weight"]
    shape = (1, factors.size, -1) if is_depthwise(layer) else (layer.integer(0), factors.size, -1)
    arrays["weight"] = _rescaled(array, array.values.reshape(shape) * factors[None, :, None])


def _rescaled(array: Array, values: NDArray[Any]) -> Array:
    """Return the array with new values, which FP16 would round a second time."""
    return Array(values.reshape(-1).astype(np.float32), "raw" if array.storage == "raw" else "fp32")
