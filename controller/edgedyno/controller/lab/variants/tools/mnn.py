"""MNN: FP32, FP16 storage, 8-bit weights, and INT8 with calibrated activations.

Its tools are two functions of the extension module `_tools`. MNN's Python tools around them (`MNN.tools`) report
to their maker and install packages while they run: they are never imported.
"""

import hashlib
import re
import uuid
from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
)

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FLAGS = {"fp32": [], "fp16": ["--fp16"], "int8": ["--weightQuantBits", "8"]}
_WEIGHTS = {"fp32": "fp32", "fp16": "fp16, unpacked when loaded", "int8": "int8 per channel"}


def build(request: Request) -> dict[str, Any]:
    """Convert the ONNX file with the asked precision and write it.

    INT8 with `scheme: dynamic` stores weights in 8 bits and computes in float: it needs no calibration.
    Raises BuildError (variant.no-calibration, variant.operator, variant.failed).
    """
    hush()
    if request.precision == "int8" and request.options.get("scheme") != "dynamic":
        need_calibration(request)
        plain = str(Path(request.scratch) / "plain.mnn")
        _convert(request.source, plain, [])
        from edgedyno.controller.lab.variants.tools.mnn_int8 import quantize

        details = quantize(plain, request)
    else:
        _convert(request.source, request.target, _FLAGS[request.precision])
        details = {
            "method": "mnnconvert",
            "weights": _WEIGHTS[request.precision],
            "activations": "float",
        }
    _settle_identity(request.target)
    return {**details, "tools": versions("MNN", "numpy")}


def _convert(source: str, target: str, flags: list[str]) -> None:
    """Convert by MNN's own converter, which answers nothing: whether it wrote a file is what there is to see."""
    import _tools

    _tools.mnnconvert(
        ["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "edgedyno", *flags]
    )
    if not Path(target).is_file() or not Path(target).stat().st_size:
        raise BuildError(
            "variant.operator",
            "MNN's converter wrote no file: it prints the operators that it lacks to its log",
        )


def _settle_identity(path: str) -> None:
    """Replace the random id that the converter writes by one that follows from the rest of the file."""
    data = Path(path).read_bytes()
    found = set(_UUID.findall(data))
    if len(found) != 1:
        return  # No id of the form that is known (seen in 3.6.1): the file stays as it is.
    random = found.pop()
    blank = data.replace(random, b"")
    own = str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(blank).hexdigest())).encode()
    Path(path).write_bytes(data.replace(random, own))
