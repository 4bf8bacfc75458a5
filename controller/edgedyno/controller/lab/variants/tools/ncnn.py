"""ncnn variants from ONNX: FP32 by pnnx, FP16 in storage, INT8 by our own quantizer; each a `.param` and a `.bin`.

Needs ncnn, pnnx and numpy in its interpreter, and onnx where a profile keeps nodes in float.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_calibration import calibrate
from edgedyno.controller.lab.variants.tools.ncnn_convert import Model, convert
from edgedyno.controller.lab.variants.tools.ncnn_float import float_layers
from edgedyno.controller.lab.variants.tools.ncnn_int8 import Quantized, candidates, quantize
from edgedyno.controller.lab.variants.tools.ncnn_param import write_graph
from edgedyno.controller.lab.variants.tools.ncnn_ranges import METHODS, clip_at
from edgedyno.controller.lab.variants.tools.ncnn_run import Network, check_finite, signal_to_noise
from edgedyno.controller.lab.variants.tools.ncnn_weights import in_half_precision, write_weights
from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
    write_bundle,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEFAULT_METHOD = "kl"
_METHOD_OPTION = "ncnn_method"


def build(request: Request) -> dict[str, Any]:
    """Build the variant that the request asks for, and say how. Raises BuildError."""
    hush()
    method = _method(request)
    calibration = need_calibration(request) if request.precision == "int8" else request.calibration
    scratch = Path(request.scratch)
    model = convert(request.source, request.input_shape, scratch)
    files = _Files(scratch / "fp32")
    reference = files.write(model)
    tensor = _first_tensor(request)
    expected = reference.run(tensor)
    check_finite(expected)
    details: dict[str, Any] = {"tools": versions("ncnn", "pnnx", "numpy", "onnx")}
    if request.precision == "fp32":
        details["method"] = "pnnx"
    elif request.precision == "fp16":
        details["method"] = "pnnx; weights stored in FP16"
        files = _Files(scratch / "fp16")
        check_finite(files.write(model._replace(weights=in_half_precision(model.weights))).run(tensor))
    else:
        excluded = float_layers(
            request.source, request.excluded, model.graph, model.weights, candidates(model.graph)
        )
        result, told = to_int8(model, reference, calibration, method=method, keep_float=excluded)
        files = _Files(scratch / "int8")
        found = files.write(Model(result.graph, result.weights)).run(tensor)
        check_finite(found)
        decibels = signal_to_noise(expected, found)
        details.update(told)
        details["output_sqnr_db"] = round(decibels, 2) if np.isfinite(decibels) else None
    write_bundle(request.target, files.members())
    return details


def to_int8(
    model: Model,
    reference: Network,
    calibration: Sequence[str],
    *,
    method: str = DEFAULT_METHOD,
    keep_float: Sequence[int] = (),
) -> tuple[Quantized, dict[str, Any]]:
    """Return the model in INT8 and how it was made; `reference` runs it in float.

    Layers in `keep_float`, and those that only ever see zeros, stay in float.
    """
    graph = model.graph
    inputs = {
        index: graph.sources()[graph.layers[index].bottoms[0]]
        for index in candidates(graph)
        if index not in keep_float
    }
    if not inputs:
        raise BuildError("variant.nothing", "no layer of the model is left that ncnn can compute in INT8")
    blobs = list(dict.fromkeys(inputs.values()))
    statistics = calibrate(reference, blobs, calibration, histograms=method in {"kl", "mse"})
    clips = {blob: clip_at(found, method) for blob, found in statistics.items()}
    silent = [graph.layers[index].name for index, blob in inputs.items() if clips[blob] == 0]
    result = quantize(
        graph, model.weights, {index: clips[blob] for index, blob in inputs.items() if clips[blob] > 0}
    )
    return result, _details(result, method, [graph.layers[index].name for index in keep_float], silent)


def _details(result: Quantized, method: str, kept: list[str], silent: list[str]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "method": "edgedyno's quantizer for ncnn",
        "weights": "int8 per output channel, depthwise per group; the rest stored in FP16",
        "activations": "int8 symmetric per tensor",
        "calibration_method": method,
        "int8_layers": len(result.integer),
        "requantized_layers": len(result.requantized),
        "float_layers": kept,
    }
    if silent:
        details["always_zero"] = silent
    if result.levels:
        details["reduced_weights"] = result.levels
    return details


def _method(request: Request) -> str:
    method = request.options.get(_METHOD_OPTION, DEFAULT_METHOD)
    if method not in METHODS:
        raise BuildError("variant.option", f"found {_METHOD_OPTION} {method!r}, expected one of {', '.join(METHODS)}")
    return str(method)


def _first_tensor(request: Request) -> NDArray[np.float32]:
    """Return a calibration tensor, or where there is none a ramp: any finite input shows NaN."""
    if request.calibration:
        return np.asarray(np.load(request.calibration[0]), np.float32)
    count = int(np.prod(request.input_shape))
    return np.linspace(0.0, 1.0, count, dtype=np.float32).reshape(request.input_shape)


class _Files(NamedTuple):
    """The two files of a variant while it is made."""

    stem: Path

    def write(self, model: Model) -> Network:
        """Write the model, and load it as any runtime will."""
        param, binary = self._paths()
        param.write_text(write_graph(model.graph), "utf-8")
        binary.write_bytes(write_weights(model.weights))
        return Network(param, binary)

    def members(self) -> dict[str, str]:
        """Return the bundle's members."""
        param, binary = self._paths()
        return {"model.param": str(param), "model.bin": str(binary)}

    def _paths(self) -> tuple[Path, Path]:
        return self.stem.with_suffix(".param"), self.stem.with_suffix(".bin")
