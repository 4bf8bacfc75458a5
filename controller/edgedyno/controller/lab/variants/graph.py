"""Small steps on ONNX graphs that several variants need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter

from edgedyno.controller.lab.source import opset
from edgedyno.core.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# Per-channel DequantizeLinear has an axis from operator set 13 on; below it a quantized graph is invalid.
MIN_OPSET = 13
# The oldest file format that holds what we write: ONNX Runtime has read it since 1.9.
IR_VERSION = 8
PRODUCER = "edgedyno"


def lift_opset(model: Any) -> Any:
    """Return the model at operator set 13 at least. Raises RunError (variant.opset) when ONNX cannot."""
    if opset(model) >= MIN_OPSET:
        return model
    try:
        return version_converter.convert_version(model, MIN_OPSET)
    except (RuntimeError, onnx.checker.ValidationError) as error:
        raise RunError(
            f"ONNX cannot convert the model from opset {opset(model)} to {MIN_OPSET}: {error}",
            code="variant.opset",
        ) from error


def finish(model: Any, target: Path) -> None:
    """Write the model so that equal models are equal files, and older runtimes accept them."""
    used = {node.domain for node in model.graph.node} | {""}
    domains = sorted((entry.domain, entry.version) for entry in model.opset_import if entry.domain in used)
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in domains)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = PRODUCER, "", ""
    del model.metadata_props[:]
    target.write_bytes(model.SerializeToString(deterministic=True))


def name_nodes(model: Any) -> None:
    """Give each node without a name one, for quantization addresses nodes by name."""
    taken = {node.name for node in model.graph.node}
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for name in _names(node.op_type, index) if name not in taken)
            taken.add(node.name)


def _names(op_type: str, index: int) -> list[str]:
    base = f"{op_type}_at_{index}"
    return [base, *(f"{base}_{number}" for number in range(1, 1000))]


def runner(path: Path) -> Callable[[NDArray[np.float32]], list[Any]]:
    """Load the file; return what infers one tensor."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: list(session.run(None, {name: tensor}))


def run_once(path: Path, tensor: NDArray[np.float32]) -> None:
    """Load the file and infer once. Raises RunError (variant.not-finite) when the output is not finite."""
    outputs = runner(path)(tensor)
    if not all(np.isfinite(output).all() for output in outputs):
        raise RunError(
            "the variant was built, but computes infinities or NaN on the first image",
            code="variant.not-finite",
        )
