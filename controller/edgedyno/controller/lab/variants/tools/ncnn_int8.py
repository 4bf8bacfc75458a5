"""A graph of ncnn's in INT8: integer weights, scales of inputs and weights, and where integers pass between layers.

What is written is what ncnn's `ncnn2int8` writes, so stock ncnn runs it: Convolution, ConvolutionDepthWise and
InnerProduct compute in integers and give floats, or integers (`int8_scale_term` above 100) where all that read
them are integer convolutions themselves. The rest of the graph stays in float, its weights in FP16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_equalize import multiply_inputs
from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer
from edgedyno.controller.lab.variants.tools.ncnn_ranges import LEVELS, quantized
from edgedyno.controller.lab.variants.tools.ncnn_weights import (
    REQUANTIZED,
    Array,
    Weights,
    in_half_precision,
)
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

CONVOLUTIONS = frozenset({"Convolution", "ConvolutionDepthWise"})
QUANTIZABLE = CONVOLUTIONS | {"InnerProduct"}
_SCALE_TERM = 8
# ncnn2int8 writes 1 for a scale per group and 2 for one per output channel.
_TERM = {"Convolution": 2, "ConvolutionDepthWise": 1, "InnerProduct": 2}
# ncnn runs 3x3 convolutions of stride 1 in the Winograd form F(4x4, 3x3) with 32-bit sums. Its integer transforms
# carry a factor of 576 (24²), and overflows between cancel out as long as 576 times the true sum fits 31 bits.
_WINOGRAD_FACTOR = 576
_MAX_ROW_SUM = (2**31 - 1) // (_WINOGRAD_FACTOR * LEVELS)


class Quantized(NamedTuple):
    """The graph in INT8, and what became of its layers."""

    graph: Graph
    weights: list[Weights]
    integer: list[str]
    """Names of the layers that compute in INT8."""
    requantized: list[str]
    """Those of them that hand integers on."""
    divided: list[str]
    """Those whose input has a scale per channel."""
    levels: dict[str, int]
    """Largest integer of the weights where it is below 127, by layer."""


def candidates(graph: Graph) -> list[int]:
    """Return the layers that can compute in INT8, by their place in the graph."""
    found = [
        index
        for index, layer in enumerate(graph.layers)
        if layer.type in QUANTIZABLE and not (layer.type in CONVOLUTIONS and layer.integer(19))
    ]
    if any(graph.layers[index].integer(_SCALE_TERM) for index in found):
        raise BuildError("variant.source", "the source is in INT8 already, expected FP32 or FP16")
    return found


def quantize(
    graph: Graph,
    weights: list[Weights],
    clips: Mapping[int, float],
    means: Mapping[int, NDArray[np.float32]] | None = None,
    divisors: Mapping[int, NDArray[np.float32]] | None = None,
) -> Quantized:
    """Return the graph with the layers of `clips` in INT8; the magnitudes at which their inputs are clipped.

    `means` are the mean values of each input channel: where they are given, biases make up for what rounding the
    weights adds to the outputs on average (Nagel et al., see `ncnn_equalize`). Layers in `divisors` read each channel
    divided by its own number, through a Quantize layer that has a scale per channel; clips and means are of what
    they read then.
    """
    layers, arrays = list(graph.layers), in_half_precision(weights)
    levels: dict[str, int] = {}
    divided = divisors or {}
    requantized = handed_on(graph, clips, divided)
    for index, clip in clips.items():
        layer = layers[index]
        floats = weights[index]
        if index in divided:
            floats = dict(floats)
            multiply_inputs(layer, floats, divided[index])
        used = _levels(layer, floats["weight"].values)
        if used < LEVELS:
            levels[layer.name] = used
        top = requantized.get(index)
        arrays[index] = _integer_arrays(layer, floats, used, clip, None if top is None else clips[top])
        if means is not None and index in means and "bias" in floats:
            arrays[index]["bias"] = _corrected_bias(layer, floats, arrays[index], means[index])
        term = _TERM[layer.type] + (0 if top is None else REQUANTIZED)
        layers[index] = layer.with_params({_SCALE_TERM: term})
    scales = {index: LEVELS / clips[index] / each for index, each in divided.items() if index in clips}
    return Quantized(
        *_with_quantize_layers(Graph(layers), arrays, scales),
        [graph.layers[index].name for index in clips],
        [graph.layers[index].name for index in requantized],
        [graph.layers[index].name for index in scales],
        levels,
    )


def _with_quantize_layers(
    graph: Graph, weights: list[Weights], scales: Mapping[int, NDArray[np.float32]]
) -> tuple[Graph, list[Weights]]:
    """Return the graph with a Quantize before each layer of `scales`; it takes the place of the layer's own."""
    layers: list[Layer] = []
    arrays: list[Weights] = []
    for index, (layer, own) in enumerate(zip(graph.layers, weights, strict=True)):
        if index in scales:
            name = f"{layer.name}_int8"
            layers.append(Layer("Quantize", name, layer.bottoms, (name,), {0: str(scales[index].size)}))
            arrays.append({"scale": _raw(scales[index])})
            layers.append(layer._replace(bottoms=(name,)))
        else:
            layers.append(layer)
        arrays.append(own)
    return Graph(layers), arrays


def _integer_arrays(layer: Layer, arrays: Weights, levels: int, clip: float, top: float | None) -> Weights:
    """Return the layer's arrays in the order in which ncnn reads them."""
    rows = _rows(layer, arrays["weight"].values)
    largest = np.abs(rows).max(axis=1)
    # A channel without weights keeps the scale 1: it gives its bias.
    scales = np.where(largest > 0, levels / np.where(largest > 0, largest, 1.0), 1.0)
    integers = quantized(rows, scales[:, None], levels).reshape(-1)
    found = {"weight": Array(integers, "int8")}
    if "bias" in arrays:
        found["bias"] = arrays["bias"]
    found["weight_scales"] = _raw(scales)
    found["bottom_scale"] = _raw(np.array([LEVELS / clip]))
    if top is not None:
        found["top_scale"] = _raw(np.array([LEVELS / top]))
    return found


def _corrected_bias(layer: Layer, before: Weights, after: Weights, means: NDArray[np.float32]) -> Array:
    scales = after["weight_scales"].values[:, None]
    error = _rows(layer, after["weight"].values) / scales - _rows(layer, before["weight"].values)
    outputs = layer.integer(0)
    error = error.reshape(outputs, -1)
    groups = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else 1
    # Each output channel reads the inputs of its own group.
    inputs = np.repeat(means.reshape(groups, -1), outputs // groups, axis=0)
    shift = (error.reshape(outputs, inputs.shape[1], -1).sum(axis=2) * inputs).sum(axis=1)
    return _raw(before["bias"].values - shift)


def _raw(values: NDArray[Any]) -> Array:
    return Array(values.astype(np.float32), "raw")


def _rows(layer: Layer, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights by what shares a scale: an output channel, or a group of a grouped convolution."""
    count = layer.integer(7, 1) if layer.type == "ConvolutionDepthWise" else layer.integer(0)
    return weights.reshape(count, -1)


def _levels(layer: Layer, weights: NDArray[np.float32]) -> int:
    """Return the largest integer that the layer's weights may have without an overflow of 32 bits.

    ncnn's own tool always takes 31 (6 bits) for layers that run in the Winograd form; the layer's own weights
    usually allow for 127.
    """
    if not _runs_as_winograd(layer):
        return LEVELS
    rows = np.abs(_rows(layer, weights))
    largest = rows.max(axis=1, keepdims=True)
    relative = (rows / np.where(largest > 0, largest, 1.0)).sum(axis=1).max()
    # Rounding moves each integer by half at most.
    allowed = int((_MAX_ROW_SUM - rows.shape[1] / 2) / max(float(relative), 1.0))
    return min(LEVELS, allowed)


def _runs_as_winograd(layer: Layer) -> bool:
    width, stride, dilation = layer.integer(1), layer.integer(3, 1), layer.integer(2, 1)
    return layer.type == "Convolution" and (
        (width, layer.integer(11, width)) == (3, 3)
        and (stride, layer.integer(13, stride)) == (1, 1)
        and (dilation, layer.integer(12, dilation)) == (1, 1)
    )


def handed_on(graph: Graph, clips: Mapping[int, float], divided: Collection[int] = ()) -> dict[int, int]:
    """Return the layers that can hand on integers, each with one of those that read them.

    All that read the output, through a Split or directly, must be integer convolutions, none of them `divided`; they
    see the same values, so they have the same scale.
    """
    consumers = graph.consumers()
    found = {}
    for index in clips:
        layer = graph.layers[index]
        behind = readers(graph, consumers, layer.tops[0])
        if layer.type not in CONVOLUTIONS or not behind:
            continue
        if all(
            at in clips
            and at not in divided
            and graph.layers[at].type in CONVOLUTIONS
            and clips[at] == clips[behind[0]]
            for at in behind
        ):
            found[index] = behind[0]
    return found


def readers(graph: Graph, consumers: Mapping[str, list[int]], blob: str) -> list[int]:
    """Return the layers that read a blob, looking through Split; none where a copy of it is an output."""
    found = []
    for index in consumers.get(blob, []):
        layer = graph.layers[index]
        if layer.type != "Split":
            found.append(index)
            continue
        for top in layer.tops:
            behind = readers(graph, consumers, top)
            if not behind:
                return []
            found += behind
    return found
