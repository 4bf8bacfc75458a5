"""Operators that pnnx leaves in its ncnn graph though ncnn has no such layer, in layers that ncnn has.

- Focus (YOLOX, early YOLOv5): four slices of every second row and column, joined, before a convolution. It is the
  same as one convolution of twice the kernel, stride and padding on the whole image, with the same weights.
- Pad with zeros (TensorFlow's SAME padding): ncnn's Padding layer.

Other leftovers stay, and `ncnn_run.check_layers` names them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_weights import Weights

Leftovers = dict[str, dict[str, str]]
"""Parameters of pnnx's own operators, by name and key."""
_ATTRIBUTE = re.compile(r"([a-z_]+)=(\S+)")
_SLICE = "Tensor.slice"
_RANK = 4


def read_leftovers(text: str) -> Leftovers:
    """Return the parameters of the operators in pnnx's own `.pnnx.param`."""
    found = {}
    for line in text.splitlines()[2:]:
        words = line.split(None, 2)
        if len(words) == 3:  # noqa: PLR2004 - type, name and the rest
            found[words[1]] = dict(_ATTRIBUTE.findall(words[2]))
    return found


def repair(graph: Graph, weights: list[Weights], leftovers: Leftovers) -> tuple[Graph, list[Weights]]:
    """Return the graph without the leftovers that can be expressed, and its weights."""
    graph = Graph([_padding(layer, leftovers.get(layer.name, {})) for layer in graph.layers])
    while (focus := _find_focus(graph, leftovers)) is not None:
        graph, weights = _fold_focus(graph, weights, focus)
    return graph, weights


def _padding(layer: Layer, attributes: dict[str, str]) -> Layer:
    """Return ncnn's Padding for a Pad of zeros around channels, rows and columns."""
    pads = _numbers(attributes.get("pads", ""))
    others = set(attributes) - {"pads", "mode"}
    constant = attributes.get("mode", "constant") == "constant" and not others
    if layer.type != "Pad" or len(pads) != 2 * _RANK or pads[0] or pads[_RANK] or not constant:
        return layer
    _, channel, top, left, _, channel_end, bottom, right = pads
    params = {0: top, 1: bottom, 2: left, 3: right, 4: 0, 7: channel, 8: channel_end}
    return Layer("Padding", layer.name, layer.bottoms, layer.tops, {}).with_params(params)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


class _Focus:
    """Where the four slices are, and what they feed."""

    def __init__(self, source: str, slices: list[int], split: int, concat: int, convolution: int) -> None:
        self.source = source
        self.slices = slices
        self.split = split
        self.concat = concat
        self.convolution = convolution
        self.offsets: list[tuple[int, int]] = []
        """First row and column of each slice, in the order in which they are joined."""


def _find_focus(graph: Graph, leftovers: Leftovers) -> _Focus | None:
    producers = {blob: index for index, layer in enumerate(graph.layers) for blob in layer.tops}
    consumers = graph.consumers()
    for index, layer in enumerate(graph.layers):
        if layer.type != "Concat" or layer.integer(0) != 0:
            continue
        slices = [producers[blob] for blob in layer.bottoms]
        splits = {producers[graph.layers[place].bottoms[0]] for place in slices}
        readers = consumers.get(layer.tops[0], [])
        offsets = [_offsets(graph.layers[place], leftovers) for place in slices]
        if sorted(each for each in offsets if each) != [(0, 0), (0, 1), (1, 0), (1, 1)] or len(splits) != 1:
            continue
        split = graph.layers[next(iter(splits))]
        if split.type != "Split" or len(split.tops) != len(slices) or len(readers) != 1:
            continue
        if _can_fold(graph.layers[readers[0]]):
            found = _Focus(split.bottoms[0], slices, next(iter(splits)), index, readers[0])
            found.offsets = [each for each in offsets if each]
            return found
    return None


def _offsets(layer: Layer, leftovers: Leftovers) -> tuple[int, int] | None:
    """Return the first row and column of a slice that takes every second of both to the end."""
    attributes = leftovers.get(layer.name, {}) if layer.type == _SLICE else {}
    keys = ("dims", "steps", "starts", "ends")
    dims, steps, starts, ends = (_numbers(attributes.get(key, "")) for key in keys)
    if dims != [2, 3] or steps != [2, 2] or len(starts) != 2 or min(ends, default=0) < 2**31 - 1:  # noqa: PLR2004
        return None
    return starts[0], starts[1]


def _can_fold(layer: Layer) -> bool:
    dilation = layer.integer(2, 1)
    left = layer.integer(4)
    top = layer.integer(14, left)
    pads = (left, layer.integer(15, left), top, layer.integer(16, top))
    plain = dilation == 1 and layer.integer(12, 1) == 1 and not layer.integer(19) and not layer.integer(8)
    return layer.type == "Convolution" and plain and min(pads) >= 0


def _fold_focus(graph: Graph, weights: list[Weights], focus: _Focus) -> tuple[Graph, list[Weights]]:
    layer = graph.layers[focus.convolution]
    width, stride, left = layer.integer(1), layer.integer(3, 1), layer.integer(4)
    top = layer.integer(14, left)
    height = layer.integer(11, width)
    array = weights[focus.convolution]["weight"]
    spread = _spread(array.values.reshape(layer.integer(0), -1, height, width), focus.offsets)
    folded = layer._replace(bottoms=(focus.source,)).with_params(
        {
            1: 2 * width,
            11: 2 * height,
            3: 2 * stride,
            13: 2 * layer.integer(13, stride),
            4: 2 * left,
            15: 2 * layer.integer(15, left),
            14: 2 * top,
            16: 2 * layer.integer(16, top),
            6: spread.size,
        }
    )
    gone = {focus.split, focus.concat, *focus.slices}
    arrays = {**weights[focus.convolution], "weight": array._replace(values=spread.reshape(-1))}
    pairs = [
        (folded, arrays) if index == focus.convolution else pair
        for index, pair in enumerate(zip(graph.layers, weights, strict=True))
        if index not in gone
    ]
    return Graph([pair[0] for pair in pairs]), [pair[1] for pair in pairs]


def _spread(kernel: NDArray[np.float32], offsets: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Return the kernel over whole pixels: input channels of the four slices become rows and columns."""
    outputs, inputs, height, width = kernel.shape
    channels = inputs // len(offsets)
    spread = np.zeros((outputs, channels, 2 * height, 2 * width), np.float32)
    for place, (row, column) in enumerate(offsets):
        part = kernel[:, place * channels : (place + 1) * channels]
        spread[:, :, row::2, column::2] = part
    return spread
