"""Tell what a model file is: its format by content, then its reader; what has no reader is told as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.inspection.kind import identify, words
from edgedyno.controller.lab.inspection.model import Inspection, Trip

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.inspection.kind import Kind

# Formats whose files only their own tools can look into.
_CLOSED = {
    "mnn": "MNN's files have no description that its makers keep: inputs and outputs show once it is loaded",
    "rknn": "an RKNN file is made for one NPU; only its makers' tools can look into it",
}
_REFUSED = {
    "tensorrt": (
        "an engine is native code for one GPU and one TensorRT version: bring the ONNX, boards compile it while "
        "loading"
    ),
    "pytorch": "loading it would run the code in it: export it to ONNX (torch.onnx.export) and bring that",
    "keras": "no runtime of edgedyno loads it: convert it to TFLite or ONNX and bring that",
    "ncnn-binary": "the binary graph names no layers: bring the text .param with its .bin",
    "zip": "found neither model.param nor model.xml in it",
    "lfs": "fetch the file itself: git lfs pull",
    "html": "the download gave a page: fetch the raw file",
    "empty": "the file has no content",
    "unknown": "its first bytes are of none of onnx, tflite, ncnn, openvino, mnn, rknn",
}


def inspect_file(path: Path) -> Inspection:
    """Say what the file at `path` is and what will trip. Raises ConfigError (model.missing, model.damaged)."""
    kind = identify(path)
    found = _read(path, kind)
    if not kind.lies:
        return found
    text = f"its name says {words(str(kind.named))}; its content is {words(kind.format)}: runtimes go by the name"
    return msgspec.structs.replace(found, trips=[Trip("model.name", text), *found.trips])


def _read(path: Path, kind: Kind) -> Inspection:
    if kind.format == "onnx":
        from edgedyno.controller.lab.inspection.onnx_file import inspect_onnx

        return inspect_onnx(path)
    if kind.format == "tflite":
        from edgedyno.controller.lab.inspection.tflite_file import inspect_tflite

        return inspect_tflite(path)
    if kind.format == "ncnn":
        from edgedyno.controller.lab.inspection.ncnn_file import inspect_ncnn

        return inspect_ncnn(path)
    if kind.format == "openvino":
        from edgedyno.controller.lab.inspection.openvino_file import inspect_openvino

        return inspect_openvino(path)
    return _closed(path, kind)


def _closed(path: Path, kind: Kind) -> Inspection:
    common = {"format": kind.format, "files": [path.name], "size_bytes": path.stat().st_size}
    if kind.format in _CLOSED:
        return Inspection(**common, notes=[_CLOSED[kind.format]])  # type: ignore[arg-type]
    beside = [each.name for each in (path.with_suffix(".param"), path.with_suffix(".xml")) if each.is_file()]
    advice = f"weights alone? name the graph beside it: {beside[0]}" if beside else _REFUSED[kind.format]
    trip = Trip("model.format", f"{words(kind.format)}: {advice}", "error")
    return Inspection(**common, trips=[trip])  # type: ignore[arg-type]
