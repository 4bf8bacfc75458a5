"""ncnn variants from ONNX: FP32 by pnnx, FP16 in storage, INT8 by our own quantizer; each a `.param` and a `.bin`.

Needs ncnn, pnnx and numpy in its interpreter, and onnx where a profile keeps nodes in float.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_convert import convert
from edgedyno.controller.lab.variants.tools.ncnn_float import float_layers
from edgedyno.controller.lab.variants.tools.ncnn_int8 import candidates
from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_recipe import CHOICES, DEFAULT_METHOD, Recipe, to_int8
from edgedyno.controller.lab.variants.tools.ncnn_run import Network, check_finite, signal_to_noise
from edgedyno.controller.lab.variants.tools.ncnn_weights import in_half_precision
from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
    write_bundle,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_METHOD_OPTION = "ncnn_method"


def build(request: Request) -> dict[str, Any]:
    """Build the variant that the request asks for, and say how. Raises BuildError."""
    hush()
    method = _method(request)
    if request.precision == "int8":
        need_calibration(request)
    scratch = Path(request.scratch)
    model = convert(request.source, request.input_shape, scratch)
    files = Files(scratch / "fp32")
    reference = files.write(model)
    tensor = _first_tensor(request)
    expected = reference.run(tensor)
    check_finite(expected)
    details: dict[str, Any] = {"method": "pnnx"}
    if request.precision != "fp32":
        files = Files(scratch / request.precision)
        made, details = _made(request, model, reference, method)
        found = files.write(made).run(tensor)
        check_finite(found)
        details["output_sqnr_db"] = _decibels(signal_to_noise(expected, found))
    write_bundle(request.target, files.members())
    return {**details, "tools": versions("ncnn", "pnnx", "numpy", "onnx")}


def _made(request: Request, model: Model, reference: Network, method: str) -> tuple[Model, dict[str, Any]]:
    if request.precision == "fp16":
        halved = model._replace(weights=in_half_precision(model.weights))
        return halved, {"method": "pnnx; weights stored in FP16"}
    kept = float_layers(request.source, request.excluded, model.graph, model.weights, candidates(model.graph))
    allowed = request.options.get("accuracy_control")
    recipe = Recipe(
        method=method,
        keep_float=tuple(kept),
        allowed_drop=None if allowed is None else float(allowed),
    )
    return to_int8(model, reference, request.calibration, recipe, Path(request.scratch))


def _decibels(ratio: float) -> float | None:
    return round(ratio, 2) if np.isfinite(ratio) else None


def _method(request: Request) -> str:
    method = request.options.get(_METHOD_OPTION, DEFAULT_METHOD)
    if method not in CHOICES:
        raise BuildError(
            "variant.option", f"found {_METHOD_OPTION} {method!r}, expected one of {', '.join(CHOICES)}"
        )
    return str(method)


def _first_tensor(request: Request) -> NDArray[np.float32]:
    """Return a calibration tensor, or where there is none a ramp: any finite input shows NaN."""
    if request.calibration:
        return np.asarray(np.load(request.calibration[0]), np.float32)
    count = int(np.prod(request.input_shape))
    return np.linspace(0.0, 1.0, count, dtype=np.float32).reshape(request.input_shape)
