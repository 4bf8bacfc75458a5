"""INT8 with calibrated activations by MNN's own quantizer, fed with a prepared tensor as text.

Of its methods (MNN 3.6.1, FastestDet on the 17 sample images, mAP 0.238 in FP32): KL clips too much (0.147), EMA
gave files that detect nothing, and ADMM, which fits the scales to least squares, keeps the accuracy (0.24). But
ADMM keeps only the last sample that it is given, and forgets all scales where that is a batch. So each of several
images is tried alone, and the file kept that is nearest to FP32 on all of them.
"""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread
from edgedyno.controller.lab.variants.tools.toolkit import BuildError, Request

TRIES = 3  # each takes longer than all that other tools do: 14 s for FastestDet
_INPUT = "input.json"


def quantize(plain: str, request: Request) -> dict[str, Any]:
    """Quantize the converted file into the request's target."""
    original = runner(plain)
    images = spread(request.calibration, TRIES)
    found: dict[str, float | None] = {}
    for position, path in enumerate(images):
        folder = Path(request.scratch) / f"{position:05d}"
        written = _quantized(plain, path, folder, request)
        nearness = output_sqnr_db(original, runner(written), images)
        if _as_number(nearness) > max(map(_as_number, found.values()), default=-math.inf) or not found:
            shutil.copyfile(written, request.target)
        found[str(request.calibration.index(path))] = nearness
    return {
        "method": "mnnquant, ADMM on one image",
        "tried_images_db": found,
        "output_sqnr_db": max(found.values(), key=_as_number),
        "weights": "int8 per channel",
        "activations": "int8, symmetric",
        "excluded": request.excluded,
    }


def _as_number(nearness: float | None) -> float:
    return -math.inf if nearness is None else nearness


def _quantized(plain: str, path: str, folder: Path, request: Request) -> str:
    """Quantize with the scales of one image; return the path of the file."""
    import _tools

    _write_sample(folder / "samples" / "0", path, request)
    page, written = folder / "quantize.json", folder / "quantized.mnn"
    page.write_text(json.dumps(_settings(folder / "samples", request)), "utf-8")
    # The quantizer writes a page of scales beside what it writes: never to the target itself.
    _tools.mnnquant(["mnnquant", plain, str(written), str(page)])
    if not written.is_file():
        raise BuildError("variant.failed", "MNN's quantizer wrote no file and gave no reason")
    return str(written)


def _settings(folder: Path, request: Request) -> dict[str, Any]:
    return {
        "input_type": "sequence",
        "path": f"{folder}/",
        "used_sample_num": 1,
        "batch_size": 1,
        "height": request.input_shape[-2],
        "width": request.input_shape[-1],
        "feature_quantize_method": "ADMM",
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
    (folder / _INPUT).write_text(json.dumps(shape), "utf-8")


def runner(path: str) -> Callable[[Any], list[Any]]:
    """Load the file; return what infers one tensor."""
    sys.modules["MNN.tools"] = None  # type: ignore[assignment]
    import numpy as np
    from MNN import expr, nn

    manager = nn.create_runtime_manager(({"backend": 0, "precision": "high", "numThread": 2},))
    module = nn.load_module_from_file(path, [], [], runtime_manager=manager)

    def infer(tensor: Any) -> list[Any]:
        results = module.onForward([expr.const(tensor, list(tensor.shape), expr.NCHW)])
        results = [expr.convert(result, expr.NCHW) for result in results]
        return [np.array(result.read()).reshape(result.shape) for result in results]

    return infer
