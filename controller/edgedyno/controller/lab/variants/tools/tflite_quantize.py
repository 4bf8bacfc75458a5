"""Smaller .tflite files by ai_edge_quantizer: FP16 weights, INT8 weights, and integers throughout."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer

from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread
from edgedyno.controller.lab.variants.tools.toolkit import Request

_Name = qtyping.TFLOperationName
_HALVED = (_Name.CONV_2D, _Name.DEPTHWISE_CONV_2D, _Name.CONV_2D_TRANSPOSE, _Name.FULLY_CONNECTED)
# What litert_torch calls the only one.
_SIGNATURE = "serving_default"
_NOT = quantizer.AlgorithmName.NO_QUANTIZE


def halve(source: str, target: str) -> dict[str, Any]:
    """Store weights in FP16; runtimes unpack them and compute as their CPU can."""
    tool = quantizer.Quantizer(source)
    for name in _HALVED:
        tool.add_weight_only_config(".*", name, 16, algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING)
    _write(tool, target, None)
    return {"weights": "fp16, unpacked by the runtime"}


def quantize_weights(source: str, request: Request, outputs: list[tuple[str, ...]]) -> dict[str, Any]:
    """Store weights in INT8; runtimes quantize activations as they come (dynamic range)."""
    tool = quantizer.Quantizer(source)
    tool.add_dynamic_config(".*", _Name.ALL_SUPPORTED, 8)
    _leave_out(tool, request.excluded, outputs)
    _write(tool, request.target, None)
    return {
        "weights": "int8 per channel",
        "activations": "float32, quantized while it runs",
        "excluded": request.excluded,
    }


def quantize(source: str, request: Request, outputs: list[tuple[str, ...]]) -> dict[str, Any]:
    """Quantize weights and activations; the output stays in float unless `integer_output` is asked for.

    One scale for a whole output rounds scores to nothing where boxes in pixels stand in the same tensor.
    """
    tool = quantizer.Quantizer(source)
    tool.add_static_config(".*", _Name.ALL_SUPPORTED, 8, 8)
    integer_output = bool(request.options.get("integer_output"))
    if not integer_output:
        tool.update_quantization_recipe(".*", _Name.OUTPUT, algorithm_key=_NOT)
    _leave_out(tool, request.excluded, outputs)
    ranges = tool.calibrate({_SIGNATURE: _Feeds(source, request.calibration)}, num_threads=2)
    _write(tool, request.target, ranges)
    return {
        "output_sqnr_db": output_sqnr_db(
            _runner(source), _runner(request.target), spread(request.calibration)
        ),
        "weights": "int8 per channel",
        "activations": "int8, asymmetric",
        "ranges": "ai_edge_quantizer's own: moving average of the images' minimum and maximum",
        "input": "int8",
        "output": "int8" if integer_output else "float32",
        "excluded": request.excluded,
    }


def _leave_out(tool: Any, excluded: list[str], outputs: list[tuple[str, ...]]) -> None:
    """Keep in float what came of the ONNX nodes with these outputs; see tflite_graph for the names."""
    numbers = {name: number for number, names in enumerate(outputs) for name in names}
    for output in excluded:
        if output not in numbers:
            continue  # Folded into a constant: nothing of it is left to be quantized.
        tool.update_quantization_recipe(
            rf"OnnxNode_n{numbers[output]}\b", _Name.ALL_SUPPORTED, algorithm_key=_NOT
        )


class _Feeds:
    """Calibration tensors in the file's layout, read one at a time, as often as the tool goes through them."""

    def __init__(self, source: str, paths: list[str]) -> None:
        interpreter = Interpreter(model_path=source)
        self._shape = tuple(interpreter.get_input_details()[0]["shape"])
        self._name = interpreter.get_signature_list()[_SIGNATURE]["inputs"][0]
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for path in self._paths:
            tensor = np.load(path)
            yield {self._name: _laid_out(tensor, self._shape)}


def _laid_out(tensor: Any, shape: tuple[int, ...]) -> Any:
    """Return the tensor in the file's layout."""
    if tensor.shape == shape:
        return tensor
    return np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))


def _runner(path: str) -> Callable[[Any], list[Any]]:
    """Load the file; return what infers one tensor of floats and gives floats, in the signature's order."""
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    (entry,), results = interpreter.get_input_details(), interpreter.get_output_details()

    def infer(tensor: Any) -> list[Any]:
        laid = _laid_out(tensor, tuple(entry["shape"]))
        if entry["dtype"] == np.int8:
            scale, zero = entry["quantization"]
            laid = np.clip(np.rint(laid / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], laid)
        interpreter.invoke()
        return [_as_floats(interpreter.get_tensor(result["index"]), result) for result in results]

    return infer


def _as_floats(array: Any, details: Any) -> Any:
    if array.dtype != np.int8:
        return array
    scale, zero = details["quantization"]
    return (array.astype(np.float32) - zero) * scale


def _write(tool: Any, target: str, ranges: Any) -> None:
    tool.quantize(ranges, enable_progress_report=False).export_model(target, overwrite=True)
