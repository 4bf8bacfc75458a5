"""RKNN, for Rockchip's NPUs, by RKNN-Toolkit2: FP16, and INT8 calibrated on prepared tensors.

A bundle: `model.rknn` for boards, and what the toolkit needs to build the same again, because it simulates only
what it has built itself: `simulator.json` (target platform, precision, name of the input), `simulator.onnx` and,
for INT8, its own quantized form, `simulator.model`, `simulator.data` and `simulator.cfg`.
"""

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread
from edgedyno.controller.lab.variants.tools.toolkit import (
    BuildError,
    Request,
    hush,
    need_calibration,
    versions,
    write_bundle,
)

PLATFORM = "rk3588"
_GRAPH = "simulator.onnx"
_QUANTIZED = {
    "model_input": "simulator.model",
    "data_input": "simulator.data",
    "model_quantization_cfg": "simulator.cfg",
}


def build(request: Request) -> dict[str, Any]:
    """Build for the option `target_platform` and write the bundle.

    Raises BuildError (variant.precision, variant.no-calibration, variant.failed).
    """
    hush()
    if request.precision == "fp32":
        raise BuildError(
            "variant.precision", "found fp32, expected fp16 or int8: the NPU computes in no other"
        )
    if request.precision == "int8":
        need_calibration(request)
    request = request._replace(
        source=str(Path(request.source).resolve()),
        target=str(Path(request.target).resolve()),
        calibration=[str(Path(path).resolve()) for path in request.calibration],
    )
    before = Path.cwd()
    os.chdir(request.scratch)  # The toolkit writes into the current folder, whatever it is told.
    try:
        return _build(request)
    finally:
        os.chdir(before)


def _build(request: Request) -> dict[str, Any]:
    folded = _prepare(request)
    platform = str(request.options.get("target_platform", PLATFORM))
    if request.precision == "int8":
        kept = _quantize(platform, request)
        details = _finish_quantized(platform, kept, request)
    else:
        details = _halve(platform, request)
    settings = {"target_platform": platform, "precision": request.precision, "input": request.input_name}
    Path("simulator.json").write_text(json.dumps(settings, sort_keys=True), "utf-8")
    members = ["model.rknn", "simulator.json", _GRAPH]
    if request.precision == "int8":
        members += _QUANTIZED.values()
    write_bundle(request.target, {name: name for name in members})
    return {
        **details,
        "target_platform": platform,
        "pads_folded": folded,
        "tools": versions("rknn-toolkit2", "onnx", "onnxruntime", "torch", "numpy"),
    }


def _prepare(request: Request) -> int:
    """Write the model as the toolkit can take it; return how many pads were folded."""
    import onnx

    from edgedyno.controller.lab.variants.tools.rknn_graph import fold_pads

    model = onnx.load(request.source)
    folded = fold_pads(model)
    onnx.save(model, _GRAPH)
    return folded


@contextlib.contextmanager
def _toolkit(platform: str) -> Any:
    """Make a toolkit without mean and std, for tensors are prepared."""
    from rknn.api import RKNN

    toolkit = RKNN(verbose=False)
    try:
        _check(toolkit.config(target_platform=platform), f"config for {platform!r}")
        yield toolkit
    finally:
        toolkit.release()


def _load(toolkit: Any, request: Request) -> None:
    inputs, sizes = [request.input_name], [request.input_shape]
    _check(toolkit.load_onnx(model=_GRAPH, inputs=inputs, input_size_list=sizes), "load_onnx")


def _halve(platform: str, request: Request) -> dict[str, Any]:
    with _toolkit(platform) as toolkit:
        _load(toolkit, request)
        _check(toolkit.build(do_quantization=False), "build")
        _check(toolkit.export_rknn("model.rknn"), "export_rknn")
    return {"method": "rknn-toolkit2", "weights": "fp16", "activations": "fp16"}


def _quantize(platform: str, request: Request) -> list[str]:
    """Take the first of the toolkit's two steps, and tell it what stays in FP16; return what does."""
    from edgedyno.controller.lab.variants.tools.rknn_hybrid import keep_in_float

    Path("tensors.txt").write_text("".join(f"{path}\n" for path in request.calibration), "utf-8")
    with _toolkit(platform) as toolkit:
        _load(toolkit, request)
        _check(toolkit.hybrid_quantization_step1(dataset="tensors.txt"), "hybrid_quantization_step1")
    Path("simulator.quantization.cfg").rename("simulator.cfg")
    return keep_in_float(Path("simulator.cfg"), request.excluded)


def _finish_quantized(platform: str, kept: list[str], request: Request) -> dict[str, Any]:
    """Take the second step, for which the toolkit wants to be a fresh one, and simulate some images."""
    with _toolkit(platform) as toolkit:
        _check(toolkit.hybrid_quantization_step2(**_QUANTIZED), "hybrid_quantization_step2")
        _check(toolkit.export_rknn("model.rknn"), "export_rknn")
        _check(toolkit.init_runtime(), "init_runtime")
        nearness = output_sqnr_db(_original(), _simulated(toolkit), spread(request.calibration))
    return {
        "output_sqnr_db": nearness,
        "method": "rknn-toolkit2, hybrid quantization",
        "weights": "int8 per channel",
        "activations": "int8, asymmetric",
        "ranges": "the toolkit's `normal`",
        "excluded": kept,
    }


def _original() -> Callable[[Any], list[Any]]:
    """Return what infers one tensor with the float model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(_GRAPH, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: list(session.run(None, {name: tensor}))


def _simulated(toolkit: Any) -> Callable[[Any], list[Any]]:
    """Return what infers one tensor as the NPU would."""

    def infer(tensor: Any) -> list[Any]:
        outputs = toolkit.inference(inputs=[tensor], data_format=["nchw"])
        if outputs is None:
            raise BuildError(
                "variant.failed", "RKNN-Toolkit2 cannot simulate what it built; its log has the reason"
            )
        return list(outputs)

    return infer


def _check(code: int, step: str) -> None:
    if code != 0:
        raise BuildError("variant.failed", f"RKNN-Toolkit2 failed in {step}; its log has the reason")
