"""Which channels of a graph's blobs are the same channel: from the convolution that writes it to all that read it.

Pooling, joining, slicing and shuffling hand channels on as they are; a sum makes two channels one. A channel is free
where everything between is positively homogeneous (f(ax) = a f(x) for a > 0): it may be divided by any factor at its
writer and multiplied at its readers. All others are pinned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer

    Ids = NDArray[np.int64]

_HOMOGENEOUS = frozenset({0, 1, 2})
"""ncnn's numbers of no activation, ReLU and leaky ReLU."""
_REST = -233
"""ncnn's size of a slice that shares what is left."""


def is_depthwise(layer: Layer) -> bool:
    """Tell whether each output channel reads the input channel of its number, and no other."""
    width, outputs = layer.integer(1), layer.integer(0)
    one_to_one = layer.integer(6) == outputs * width * layer.integer(11, width)
    return layer.type == "ConvolutionDepthWise" and layer.integer(7, 1) == outputs and one_to_one


class Channels:
    """The channels of a graph, by numbers that `root` makes equal where channels are."""

    def __init__(self, graph: Graph) -> None:
        self._parents: list[int] = []
        self._pinned: set[int] = set()
        self._blobs: dict[str, Ids | None] = {}
        self.writers: dict[int, Ids] = {}
        """What each convolution writes, by its place in the graph."""
        self.readers: dict[int, Ids] = {}
        """What each convolution reads."""
        for index, layer in enumerate(graph.layers):
            self._walk(index, layer)
        for blob in graph.outputs():
            self._pin(self._blobs[blob])

    def free(self, ids: Ids) -> NDArray[np.bool_]:
        """Tell for each channel whether it may be scaled."""
        pinned = {self.root(each) for each in self._pinned}
        return np.array([self.root(each) not in pinned for each in ids], bool)

    def roots(self, ids: Ids) -> Ids:
        """Return the number that stands for each channel and all that are equal to it."""
        return np.array([self.root(each) for each in ids], np.int64)

    def root(self, number: int) -> int:
        """Return the number that stands for a channel."""
        while self._parents[number] != number:
            number = self._parents[number]
        return number

    def _walk(self, index: int, layer: Layer) -> None:
        inputs = [self._blobs[blob] for blob in layer.bottoms]
        known = [each for each in inputs if each is not None]
        outputs = None
        if layer.type in {"Convolution", "ConvolutionDepthWise"}:
            outputs = [self._convolution(index, layer, inputs[0])]
        elif len(known) == len(inputs) and layer.type == "BinaryOp":
            outputs = self._sum(layer, known)
        elif len(known) == len(inputs) and layer.type in _STEPS:
            outputs = _STEPS[layer.type](layer, known)
        if outputs is None:
            for each in known:
                self._pin(each)
        for place, blob in enumerate(layer.tops):
            self._blobs[blob] = None if outputs is None else outputs[place]

    def _convolution(self, index: int, layer: Layer, read: Ids | None) -> Ids:
        dense = layer.type == "Convolution"
        understood = (dense or is_depthwise(layer)) and not layer.integer(19)
        if read is not None:
            if understood and float(layer.params.get(18, "0")) == 0 and inputs_of(layer) == read.size:
                self.readers[index] = read
            else:
                self._pin(read)
        written = self._new(layer.integer(0))
        if understood and layer.integer(9) in _HOMOGENEOUS:
            self.writers[index] = written
        else:
            self._pin(written)
        return written

    def _sum(self, layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
        """Make the channels of two summands one."""
        sizes = [each.size for each in inputs]
        if layer.integer(0) != 0 or layer.integer(1) or len(sizes) != 2 or sizes[0] != sizes[1]:  # noqa: PLR2004
            return None
        for one, two in zip(*inputs, strict=True):
            self._parents[self.root(int(two))] = self.root(int(one))
        return [inputs[0]]

    def _new(self, count: int) -> Ids:
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def _pin(self, ids: Ids | None) -> None:
        if ids is not None:
            self._pinned.update(int(each) for each in ids)


def inputs_of(layer: Layer) -> int:
    if layer.type == "ConvolutionDepthWise":
        return layer.integer(0)
    width = layer.integer(1)
    return layer.integer(6) // (layer.integer(0) * width * layer.integer(11, width))


def _same(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    return [inputs[0]] * len(layer.tops)


def _pooling(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    return None if layer.integer(4) or layer.integer(7) else inputs


def _interpolation(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    del layer
    return inputs if len(inputs) == 1 else None


def _padding(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    zeros = float(layer.params.get(5, "0")) == 0 and layer.integer(4) == 0
    channels = layer.integer(6) or layer.integer(7) or layer.integer(8)
    return inputs if zeros and not channels else None


def _concat(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    return None if layer.integer(0) else [np.concatenate(inputs)]


def _slice(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    numbers = [int(each) for each in layer.params.get(-23300, "0").split(",")]
    if layer.integer(1) or len(numbers) != len(layer.tops) + 1:
        return None
    parts, start = [], 0
    for place, size in enumerate(numbers[1:]):
        left = inputs[0].size - start
        taken = left // (len(layer.tops) - place) if size == _REST else size
        parts.append(inputs[0][start : start + taken])
        start += taken
    return parts


def _shuffle(layer: Layer, inputs: list[Ids]) -> list[Ids] | None:
    group = layer.integer(0, 1)
    group = inputs[0].size // group if layer.integer(1) else group
    return [inputs[0].reshape(group, -1).T.reshape(-1)]


_STEPS: dict[str, Callable[[Layer, list[Ids]], list[Ids] | None]] = {
    "Split": _same,
    "Noop": _same,
    "Dropout": _same,
    "ReLU": _same,
    "Pooling": _pooling,
    "Interp": _interpolation,
    "Padding": _padding,
    "Concat": _concat,
    "Slice": _slice,
    "ShuffleChannel": _shuffle,
}
