"""TensorFlow Lite without TensorFlow: ONNX to PyTorch to .tflite, then quantized by ai_edge_quantizer.

The file's input is channels last, as its runtimes compute; outputs are in the ONNX file's order and shapes.
"""

from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
)

_TOOLS = ("torch", "onnx2torch", "litert-torch", "ai-edge-quantizer", "numpy")


def build(request: Request) -> dict[str, Any]:
    """Convert the ONNX file, quantize it where that is asked, and write it.

    Raises BuildError (variant.no-calibration, variant.operator).
    """
    hush()
    dynamic = request.options.get("scheme") == "dynamic"
    if request.precision == "int8" and not dynamic:
        need_calibration(request)
    from edgedyno.controller.lab.variants.tools import tflite_graph, tflite_quantize

    graph = tflite_graph.read(request.source, request.input_shape)
    path = str(Path(request.scratch) / "float.tflite")
    _convert(graph.module, request.input_shape, path)
    if request.precision == "fp32":
        Path(request.target).write_bytes(Path(path).read_bytes())
        details: dict[str, Any] = {"weights": "fp32"}
    elif request.precision == "fp16":
        details = tflite_quantize.halve(path, request.target)
    elif dynamic:
        details = tflite_quantize.quantize_weights(path, request, graph.outputs)
    else:
        details = tflite_quantize.quantize(path, request, graph.outputs)
    method = "onnx2torch, litert_torch" + ("" if request.precision == "fp32" else ", ai_edge_quantizer")
    layout = "NHWC" if _is_image(request.input_shape) else "as in the ONNX file"
    return {"method": method, **details, "input_layout": layout, "tools": versions(*_TOOLS)}


def _is_image(shape: list[int]) -> bool:
    return len(shape) == 4 and shape[1] in (1, 3, 4)  # noqa: PLR2004 - batch, channels, height, width


def _convert(module: Any, input_shape: list[int], path: str) -> None:
    import litert_torch
    import torch

    example = torch.zeros(*input_shape)
    if _is_image(input_shape):
        module = litert_torch.to_channel_last_io(module, args=[0])
        example = example.permute(0, 2, 3, 1).contiguous()
    try:
        converted = litert_torch.convert(module.eval(), (example,))
    except Exception as error:
        text = " ".join(str(error).split())
        if "owering not found" in text or "no lowering" in text.lower():
            raise BuildError(
                "variant.operator", f"litert_torch cannot convert the model: {text[:400]}"
            ) from error
        raise
    converted.export(path)
