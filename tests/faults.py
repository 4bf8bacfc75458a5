"""Faults put into real models and profiles: what the self-test has to find. For tests and the benchmark only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.core.profile import InputSpec, ModelProfile

    Changed = Callable[[ModelProfile], ModelProfile]
    Edited = Callable[[bytes, ModelProfile], bytes]

# Where the scores of a decoder's output begin, and along which axis.
_SCORES = {"yolox": (2, 4), "yolov5": (2, 4), "yolov8": (1, 4)}


def with_input(**changes: Any) -> Changed:
    """Return what changes a profile's input."""
    return lambda profile: replace(profile, input=replace(profile.input, **changes))


def with_output(**changes: Any) -> Changed:
    """Return what changes a profile's output."""
    return lambda profile: replace(profile, output=replace(profile.output, **changes))


def other_colours(profile: ModelProfile) -> ModelProfile:
    """Say the other colour order; mean and std are turned with it."""
    spec: InputSpec = profile.input
    other = "BGR" if spec.colour == "RGB" else "RGB"
    return with_input(colour=other, mean=spec.mean[::-1], std=spec.std[::-1])(profile)


def other_scale(profile: ModelProfile) -> ModelProfile:
    """Confuse 0 to 255 with 0 to 1."""
    std = (1.0,) * 3 if profile.input.std[0] > 100 else (255.0,) * 3
    return with_input(std=std)(profile)


def other_boxes(profile: ModelProfile) -> ModelProfile:
    """Confuse pixels with fractions."""
    return with_output(boxes="fraction" if profile.output.boxes == "pixels" else "pixels")(profile)


def dead(data: bytes) -> bytes:
    """Return the model with all of its weights zero."""
    return _weights(data, lambda weights: weights * 0)


def not_a_number(data: bytes) -> bytes:
    """Return the model with a NaN in its first weights."""
    seen: list[bool] = []

    def spoil(weights: Any) -> Any:
        if not seen:
            weights.reshape(-1)[0] = np.nan
            seen.append(True)
        return weights

    return _weights(data, spoil)


def _weights(data: bytes, change: Callable[[Any], Any]) -> bytes:
    model = onnx.load_model_from_string(data)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim > 1 and array.dtype in (np.float32, np.float16):
            tensor.CopyFrom(numpy_helper.from_array(change(array.copy()).astype(array.dtype), tensor.name))
    return bytes(model.SerializeToString())


def other_ranges(data: bytes, factor: float) -> bytes:
    """Return a Q/DQ model whose activations were calibrated on `factor` of their range: a tenth clips."""
    model = onnx.load_model_from_string(data)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}:
        array = numpy_helper.to_array(tensors[name])
        tensors[name].CopyFrom(numpy_helper.from_array((array * factor).astype(array.dtype), name))
    return bytes(model.SerializeToString())


def other_activation(data: bytes, decoder: str, kind: str) -> bytes:
    """Return the model with the last sigmoid over its scores `missing` or `doubled`; a softmax of a classifier."""
    model = onnx.load_model_from_string(data)
    graph = model.graph
    output = graph.output[0].name
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = "inner"
    if decoder == "classify":
        graph.node.append(helper.make_node("Softmax", ["inner"], [output], axis=1))
        return bytes(model.SerializeToString())
    axis, first = _SCORES[decoder]
    for name, values in (("b", [0]), ("m", [first]), ("e", [2**31 - 1]), ("a", [axis])):
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), f"cut.{name}"))
    graph.node.append(helper.make_node("Slice", ["inner", "cut.b", "cut.m", "cut.a"], ["boxes"]))
    graph.node.append(helper.make_node("Slice", ["inner", "cut.m", "cut.e", "cut.a"], ["scores"]))
    if kind == "doubled":
        graph.node.append(helper.make_node("Sigmoid", ["scores"], ["changed"]))
    else:
        graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
        graph.initializer.append(numpy_helper.from_array(np.array(1e-9, np.float32), "least"))
        graph.node.append(helper.make_node("Max", ["scores", "least"], ["above"]))
        graph.node.append(helper.make_node("Reciprocal", ["above"], ["inverse"]))
        graph.node.append(helper.make_node("Sub", ["inverse", "one"], ["odds"]))
        graph.node.append(helper.make_node("Max", ["odds", "least"], ["positive"]))
        graph.node.append(helper.make_node("Log", ["positive"], ["negative"]))
        graph.node.append(helper.make_node("Neg", ["negative"], ["changed"]))
    graph.node.append(helper.make_node("Concat", ["boxes", "changed"], [output], axis=axis))
    return bytes(model.SerializeToString())
