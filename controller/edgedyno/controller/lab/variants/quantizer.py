"""ONNX Runtime's quantization with ranges measured once, so that a search can write many files from them.

What is decided by a profile comes in; which nodes stay in float is told with each file.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_dynamic
from onnxruntime.quantization.calibrate import create_calibrator
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode, load_model_with_shape_infer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgedyno.controller.lab.source import input_name
from edgedyno.controller.lab.variants.graph import name_nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.core.profile import QuantizeSpec

_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}
# In one order: it decides the order of nodes in the file.
_OPERATORS = sorted({*QLinearOpsRegistry, *QDQRegistry})


class Quantizer(Protocol):
    """Writes quantized forms of one prepared model."""

    model: Path
    """The prepared FP32 model, whose nodes are named."""

    def write(self, target: Path, *, excluded: Sequence[str], only: Sequence[str] = ()) -> None:
        """Write the model with every node quantized but those `excluded`; `only` limits it to some."""

    def words(self) -> dict[str, Any]:
        """Say how it quantizes."""


def pre_process(model: Any, folder: Path) -> Path:
    """Infer shapes and fold what can be folded, as quantization expects; return the prepared file."""
    lifted, ready = folder / "lifted.onnx", folder / "ready.onnx"
    onnx.save(model, lifted)
    quant_pre_process(str(lifted), str(ready), skip_symbolic_shape=True)
    prepared = onnx.load(ready)
    name_nodes(prepared)
    onnx.save(prepared, ready)
    return ready


class StaticQuantizer:
    """Static INT8: activations by ranges over the calibration images, as Q/DQ pairs or integer operators."""

    def __init__(
        self, model: Path, spec: QuantizeSpec, tensors: Sequence[str], *, reduce_range: bool
    ) -> None:
        self.model = model
        self._spec = spec
        self._reduce_range = reduce_range
        # Signed activations are quantized about zero: kernels for s8s8 assume it.
        self._symmetric = spec.symmetric or spec.activations == "int8"
        self._options = {"ActivationSymmetric": self._symmetric}
        self._ranges = self._measure(tensors)

    def _measure(self, tensors: Sequence[str]) -> Any:
        """Run the model on every calibration image and return the range of each tensor."""
        method = self._spec.calibration_method
        with tempfile.TemporaryDirectory(dir=self.model.parent) as folder:
            calibrator = create_calibrator(
                self.model,
                _OPERATORS,
                augmented_model_path=str(Path(folder) / "augmented.onnx"),
                calibrate_method=_METHODS[method],
                # Entropy and percentiles are taken over absolute values by themselves where it is symmetric.
                extra_options={"symmetric": True} if self._symmetric else {},
            )
            calibrator.collect_data(_Tensors(input_name(onnx.load(self.model)), tensors))
            return calibrator.compute_data()

    def write(self, target: Path, *, excluded: Sequence[str], only: Sequence[str] = ()) -> None:
        """Write one quantized form of the model."""
        # The quantizer changes both the model and the ranges that it is given.
        model, ranges = load_model_with_shape_infer(self.model), copy.deepcopy(self._ranges)
        activations = QuantType.QInt8 if self._spec.activations == "int8" else QuantType.QUInt8
        common = (QuantType.QInt8, activations, ranges, list(only), list(excluded), _OPERATORS, self._options)
        quantizer: Any
        if self._spec.scheme == "qoperator":
            mode = QuantizationMode.QLinearOps
            head = (model, self._spec.per_channel, self._reduce_range, mode, True)
            quantizer = ONNXQuantizer(*head, *common)
        else:
            quantizer = QDQQuantizer(model, self._spec.per_channel, self._reduce_range, *common)
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(str(target), use_external_data_format=False)

    def words(self) -> dict[str, Any]:
        """Say how it quantizes."""
        spec = self._spec
        form = "QOperator" if spec.scheme == "qoperator" else "QDQ"
        return {
            "method": f"onnxruntime static quantization, {form}",
            "weights": _weights("int8", spec, reduce_range=self._reduce_range),
            "activations": spec.activations + (", symmetric" if self._symmetric else ""),
            "calibration_method": spec.calibration_method,
        }


class DynamicQuantizer:
    """Dynamic INT8: weights ahead, activations by each input's own range while it runs."""

    def __init__(self, model: Path, spec: QuantizeSpec, *, reduce_range: bool) -> None:
        self.model = model
        self._spec = spec
        self._reduce_range = reduce_range
        convolves = any(node.op_type == "Conv" for node in onnx.load(model).graph.node)
        # The only convolution of integers that ONNX Runtime has on CPUs takes unsigned weights, of one scale.
        self._weights = "uint8" if convolves else "int8"
        self._per_channel = spec.per_channel and not convolves

    def write(self, target: Path, *, excluded: Sequence[str], only: Sequence[str] = ()) -> None:
        """Write one quantized form of the model."""
        quantize_dynamic(
            str(self.model),
            str(target),
            per_channel=self._per_channel,
            reduce_range=self._reduce_range,
            weight_type=QuantType.QUInt8 if self._weights == "uint8" else QuantType.QInt8,
            nodes_to_quantize=list(only),
            nodes_to_exclude=list(excluded),
        )

    def words(self) -> dict[str, Any]:
        """Say how it quantizes."""
        return {
            "method": "onnxruntime quantize_dynamic",
            "weights": self._weights
            + (" per channel" if self._per_channel else " per tensor")
            + (", 7 bits used" if self._reduce_range else ""),
            "activations": "uint8, ranges at run time",
        }


def _weights(kind: str, spec: QuantizeSpec, *, reduce_range: bool) -> str:
    scales = "per channel" if spec.per_channel else "per tensor"
    return f"{kind} {scales}" + (", 7 bits used" if reduce_range else "")


class _Tensors(CalibrationDataReader):  # type: ignore[misc]
    """Calibration tensors one at a time, so that they never lie in memory together."""

    def __init__(self, name: str, paths: Sequence[str]) -> None:
        self._tensors = ({name: np.load(path, allow_pickle=False)} for path in paths)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._tensors, None)
