"""INT8 with calibrated activations by MNN's own quantizer, fed with prepared tensors as text."""

import json
from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.toolkit import BuildError, Request


def quantize(plain: str, request: Request) -> dict[str, Any]:
    """Quantize the converted file into the request's target.

    EMA is MNN's method that follows each sample; its KL, fed with tensors, was seen to look at the first alone.
    """
    import _tools

    folder = Path(request.scratch) / "samples"
    for position, path in enumerate(request.calibration):
        _write_sample(folder / f"{position:05d}", path, request)
    page = Path(request.scratch) / "quantize.json"
    page.write_text(json.dumps(_settings(folder, request)), "utf-8")
    _tools.mnnquant(["mnnquant", plain, request.target, str(page)])
    if not Path(request.target).is_file():
        raise BuildError("variant.failed", "MNN's quantizer wrote no file and gave no reason")
    return {
        "method": "mnnquant, EMA",
        "weights": "int8 per channel",
        "activations": "int8",
        "excluded": request.excluded,
    }


def _settings(folder: Path, request: Request) -> dict[str, Any]:
    return {
        "input_type": "sequence",
        "path": f"{folder}/",
        "used_sample_num": len(request.calibration),
        "batch_size": 1,
        "height": request.input_shape[-2],
        "width": request.input_shape[-1],
        "feature_quantize_method": "EMA",
        "weight_quantize_method": "MAX_ABS",
        "skip_quant_op_names": request.excluded,
    }


def _write_sample(folder: Path, path: str, request: Request) -> None:
    """Write one tensor as MNN reads it: numbers in text, in a file named after the input."""
    import numpy as np

    folder.mkdir(parents=True)
    # Pixels of 8 bits give few different values: each is put into words once.
    values, places = np.unique(np.load(path), return_inverse=True)
    words = np.array([f"{value:.8g}" for value in values])
    (folder / f"{request.input_name}.txt").write_text(" ".join(words[places.ravel()].tolist()), "ascii")
    shape = {"inputs": [{"name": request.input_name, "shape": request.input_shape}]}
    (folder / "input.json").write_text(json.dumps(shape), "utf-8")
