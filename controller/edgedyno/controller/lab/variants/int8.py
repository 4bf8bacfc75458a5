"""Static INT8: QDQ, weights per channel in signed, activations in unsigned 8 bits, calibrated on images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgedyno.controller.lab.source import check_exclude, input_name
from edgedyno.controller.lab.variants.graph import finish, lift_opset, name_nodes
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.vision import prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.request import BuildRequest, CalibrationImage
    from edgedyno.core.profile import InputSpec

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


def build_int8(request: BuildRequest) -> dict[str, Any]:
    """Quantize the request's source into its target.

    Raises RunError (variant.no-calibration, variant.opset) and ConfigError for a calibration image that
    cannot be used.
    """
    if not request.calibration:
        raise RunError(
            "static INT8 needs calibration images, and the data set's profile names none",
            code="variant.no-calibration",
        )
    source = onnx.load(request.source)
    excluded_outputs = check_exclude(source, request.model.quantize.exclude)
    with tempfile.TemporaryDirectory(dir=Path(request.target).parent) as folder:
        ready = _pre_process(lift_opset(source), Path(folder))
        excluded = _names_by_output(onnx.load(ready), excluded_outputs)
        raw = Path(folder) / "quantized.onnx"
        _quantize(request, ready, raw, excluded)
        finish(onnx.load(raw), Path(request.target))
    return {
        "method": "onnxruntime quantize_static, QDQ",
        "weights": "int8 per channel, 7 bits used" if request.reduce_range else "int8 per channel",
        "activations": "uint8",
        "calibration_method": request.model.quantize.calibration_method,
        "excluded": excluded,
    }


def _pre_process(model: Any, folder: Path) -> Path:
    """Infer shapes and fold what can be folded, as static quantization expects."""
    lifted, ready = folder / "lifted.onnx", folder / "ready.onnx"
    onnx.save(model, lifted)
    quant_pre_process(str(lifted), str(ready), skip_symbolic_shape=True)
    prepared = onnx.load(ready)
    name_nodes(prepared)
    onnx.save(prepared, ready)
    return ready


def _names_by_output(model: Any, outputs: list[str]) -> list[str]:
    """Find nodes by what they compute: preparation drops and renames nodes, but keeps results' names."""
    wanted = set(outputs)
    return [node.name for node in model.graph.node if wanted.intersection(node.output)]


def _quantize(request: BuildRequest, ready: Path, target: Path, excluded: list[str]) -> None:
    reader = _Images(input_name(onnx.load(ready)), request.calibration, request.model.input)
    quantize_static(
        str(ready),
        str(target),
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=request.reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=_METHODS[request.model.quantize.calibration_method],
        nodes_to_exclude=excluded,
    )


def prepare_image(image: CalibrationImage, spec: InputSpec) -> NDArray[np.float32]:
    """Prepare one image as the accuracy pass does; an error names the image."""
    try:
        return prepare(Path(image.path).read_bytes(), spec).tensor
    except ConfigError as error:
        raise ConfigError(f"calibration image {image.name}: {error}", code=error.code) from error


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images one at a time, so that they never lie in memory together."""

    def __init__(self, name: str, images: list[CalibrationImage], spec: InputSpec) -> None:
        self._tensors = ({name: prepare_image(image, spec)} for image in images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._tensors, None)
