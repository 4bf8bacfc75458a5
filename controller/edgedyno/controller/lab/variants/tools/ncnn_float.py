"""Which layers of an ncnn graph are the ONNX nodes that a profile keeps in float.

pnnx renames nodes and blobs, merges batch normalisation into weights and drops what it can compute; the weights stay
recognisable. So layers are found by theirs: the same shape, and the same direction in each output channel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph
    from edgedyno.controller.lab.variants.tools.ncnn_weights import Weights

# Least cosine between the sorted magnitudes of the same weights, after FP32 rounding. Unrelated channels of a few
# hundred weights come near 0.99.
_SAME = 1 - 1e-6


def float_layers(
    source: str, excluded: Sequence[str], graph: Graph, weights: list[Weights], layers: Sequence[int]
) -> list[int]:
    """Return those of `layers` that compute the ONNX outputs `excluded`.

    Outputs of operators without weights name nothing here: ncnn computes those in float in any case. Raises
    BuildError (variant.exclude) for a convolution or product that is found nowhere: the recipe would be lost.
    """
    if not excluded:
        return []
    nodes = _weighted_nodes(source)
    own = {
        index: _directions(weights[index]["weight"].values, graph.layers[index].integer(0))
        for index in layers
    }
    free = list(layers)
    matched = {}
    for output, kernel in nodes.items():
        found = next((index for index in free if _alike(kernel, own[index])), None)
        if found is not None:
            free.remove(found)
            matched[output] = found
    lost = [output for output in excluded if output in nodes and output not in matched]
    if lost:
        raise BuildError(
            "variant.exclude", f"the converted model has no layer with the weights of {', '.join(lost)}"
        )
    return sorted(matched[output] for output in excluded if output in matched)


def _weighted_nodes(source: str) -> dict[str, NDArray[np.float32]]:
    """Return each convolution's and product's weights by the node's output, in the graph's order."""
    onnx: Any = importlib.import_module("onnx")
    graph = onnx.load(source).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], entry.t) for entry in node.attribute if entry.name == "value")
    found = {}
    for node in graph.node:
        if node.op_type in _KINDS and node.input[1] in constants:
            values = onnx.numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
            found[node.output[0]] = _output_rows(node, values)
    return found


_KINDS = ("Conv", "Gemm", "MatMul")


def _output_rows(node: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
    turned = values if node.op_type == "Conv" or transposed else values.T
    return _directions(turned, turned.shape[0])


def _directions(values: NDArray[np.float32], outputs: int) -> NDArray[np.float32]:
    rows = values.reshape(outputs, -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), np.float32)


def _alike(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Tell whether two kernels have the same weights up to a factor for each output channel.

    Their order within a channel does not count: a folded Focus has another.
    """
    if one.shape != other.shape:
        return False
    ordered = np.sum(np.sort(np.abs(one), axis=1) * np.sort(np.abs(other), axis=1), axis=1, dtype=np.float64)
    return bool(np.all((ordered > _SAME) | (np.abs(one).sum(axis=1) + np.abs(other).sum(axis=1) == 0)))
