"""OpenVINO IR: FP32, FP16 weights, and INT8 by NNCF. A bundle of `model.xml` and `model.bin`."""

import sys
from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.openvino_scope import names_between
from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
    write_bundle,
)

_LACKING = ("no conversion rule", "opconversionfailure", "not supported", "unsupported operation")


def build(request: Request) -> dict[str, Any]:
    """Read the ONNX file, quantize it where that is asked, and write it as IR.

    Raises BuildError (variant.no-calibration, variant.operator).
    """
    hush()
    _silence()
    calibration = need_calibration(request) if request.precision == "int8" else []
    model = _read(request)
    details: dict[str, Any] = {"method": "OpenVINO IR", "weights": request.precision}
    if request.precision == "int8":
        from edgedyno.controller.lab.variants.tools.openvino_int8 import quantize

        names = names_between(model, request.excluded)
        model, details = quantize(model, request, calibration, names)
    _write(model, request)
    return {**details, "tools": versions("openvino", "nncf", "numpy")}


def _silence() -> None:
    """Let the reporting package count as not installed: it reports every import and heeds no variable."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


def _read(request: Request) -> Any:
    """Read the file with its input fixed to the request's shape: as deployed, and free shapes run slower."""
    import openvino

    try:
        return openvino.convert_model(request.source, input=[(request.input_name, request.input_shape)])
    except Exception as error:
        text = " ".join(str(error).split())
        lacking = any(sign in text.lower() for sign in _LACKING)
        if not lacking:
            raise
        raise BuildError("variant.operator", f"OpenVINO cannot read the model: {text[-400:]}") from error


def _write(model: Any, request: Request) -> None:
    import openvino

    folder = Path(request.scratch)
    _forget_origins(model)
    # The name of the graph is the ONNX exporter's; it may hold a path or a date.
    model.set_friendly_name("model")
    path = folder / "model.xml"
    openvino.save_model(model, str(path), compress_to_fp16=request.precision == "fp16")
    write_bundle(request.target, {"model.xml": str(path), "model.bin": str(folder / "model.bin")})


def _forget_origins(model: Any) -> None:
    """Drop what says where and by what the file was made; the recipe says it, and equal models are equal files."""
    info = model.get_rt_info()
    for key in list(info):
        del info[key]
