"""The half of `ncnn_int8.py` that runs in the builder's interpreter: builds variants and runs them on images.

Usage: PYTHON ncnn_int8_worker.py REQUEST.json. Prints a line of JSON for each variant; outputs lie in `out`.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np

TOOLS = Path(__file__).parent.parent / "controller/edgedyno/controller/lab/variants/tools"


def main() -> None:
    """Build what the request asks for, one recipe after the other."""
    runpy.run_path(str(TOOLS / "bootstrap.py"))["_build_namespace"](str(TOOLS))
    from edgedyno.controller.lab.variants.tools.ncnn_convert import convert
    from edgedyno.controller.lab.variants.tools.ncnn_int8 import candidates
    from edgedyno.controller.lab.variants.tools.ncnn_model import Files
    from edgedyno.controller.lab.variants.tools.ncnn_recipe import Recipe, to_int8
    from edgedyno.controller.lab.variants.tools.ncnn_run import signal_to_noise

    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    scratch = Path(request["out"])
    if request["source"].endswith(".onnx"):
        model = convert(request["source"], request["shape"], scratch)
    else:
        model = Files(Path(request["source"])).read()
    reference = Files(scratch / "fp32").write(model)
    expected = [reference.run(np.load(path)) for path in request["images"]]
    save(expected, scratch / "fp32.npz")
    print(json.dumps({"name": "fp32", "bytes": (scratch / "fp32.bin").stat().st_size}), flush=True)
    for recipe in request["recipes"]:
        name = recipe.pop("name")
        keep = tuple(candidates(model.graph)[: recipe.pop("stem", 0)])
        made, details = to_int8(
            model, reference, request["calibration"], Recipe(**recipe, keep_float=keep), scratch
        )
        network = Files(scratch / name).write(made)
        found = [network.run(np.load(path)) for path in request["images"]]
        save(found, scratch / f"{name}.npz")
        decibels = float(np.mean([signal_to_noise(*pair) for pair in zip(expected, found, strict=True)]))
        size = (scratch / f"{name}.bin").stat().st_size
        print(json.dumps({"name": name, "bytes": size, "decibels": decibels, **details}), flush=True)


def save(outputs: list[list[np.ndarray[Any, Any]]], path: Path) -> None:
    """Write the outputs of each image."""
    np.savez(path, *[np.stack([image[index] for image in outputs]) for index in range(len(outputs[0]))])


if __name__ == "__main__":
    main()
