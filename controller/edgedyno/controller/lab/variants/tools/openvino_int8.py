"""INT8 of an OpenVINO model by NNCF, plain or with a search for what has to stay in float."""

import logging
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from edgedyno.controller.lab.variants.tools.fidelity import METRIC, Fidelity
from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread
from edgedyno.controller.lab.variants.tools.toolkit import Request


def quantize(
    model: Any, request: Request, calibration: list[str], ignored: list[str]
) -> tuple[Any, dict[str, Any]]:
    """Return the quantized model and how it was made."""
    import nncf
    import numpy as np

    nncf.set_log_level(logging.ERROR)
    settings, details = _settings(request, calibration, ignored)
    dataset = nncf.Dataset(calibration, np.load)
    allowed = request.options.get("accuracy_control")
    original = runner(model)
    if allowed is None:
        advanced = settings.pop("advanced")
        quantized = nncf.quantize(model, dataset, advanced_parameters=advanced, **settings)
    else:
        quantized, details = _search(model, calibration, float(allowed), settings, details)
    details["output_sqnr_db"] = output_sqnr_db(original, runner(quantized), spread(calibration))
    return quantized, details


def _settings(
    request: Request, calibration: list[str], ignored: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what NNCF is told, and the same in words."""
    import nncf

    symmetric = bool(request.options.get("symmetric"))
    reduced = bool(request.options.get("reduce_range"))
    fix = nncf.OverflowFix.ENABLE if reduced else nncf.OverflowFix.FIRST_LAYER
    settings = {
        "preset": nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
        "subset_size": len(calibration),
        "ignored_scope": nncf.IgnoredScope(names=ignored, validate=False),
        "advanced": nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    }
    return settings, {
        "method": "nncf.quantize",
        "weights": "int8 per channel, 7 bits used" + ("" if reduced else " in the first layer"),
        "activations": "8 bits, symmetric" if symmetric else "8 bits, asymmetric",
        "ranges": "NNCF's own: mean over the images of minimum and maximum; biases corrected",
        "excluded": ignored,
    }


def _search(
    model: Any, calibration: list[str], allowed: float, settings: dict[str, Any], details: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Quantize, then put into float what costs most, until the outputs are as near as allowed."""
    import nncf
    import numpy as np
    import openvino

    judge = _Judge(openvino.compile_model(model, "CPU"), calibration)
    dataset = nncf.Dataset(calibration, np.load)
    with tempfile.TemporaryDirectory() as folder:
        restoring = nncf.AdvancedAccuracyRestorerParameters(
            num_ranking_workers=1, intermediate_model_dir=folder
        )
        quantized = nncf.quantize_with_accuracy_control(
            model,
            calibration_dataset=dataset,
            validation_dataset=dataset,
            validation_fn=judge,
            max_drop=allowed,
            advanced_quantization_parameters=settings.pop("advanced"),
            advanced_accuracy_restorer_parameters=restoring,
            **settings,
        )
    reached, _ = judge(openvino.compile_model(quantized, "CPU"), calibration)
    found = {"metric": METRIC, "allowed_drop": allowed, "drop": round(1.0 - reached, 6), "tries": judge.tries}
    return quantized, {**details, "method": "nncf.quantize_with_accuracy_control", "accuracy_control": found}


class _Judge:
    """The validation function: fidelity to the FP32 model on the calibration images."""

    def __init__(self, original: Any, paths: list[str]) -> None:
        self._fidelity = Fidelity([_infer(original, path) for path in paths])
        self.tries = 0

    def __call__(self, compiled: Any, paths: Iterable[Any]) -> tuple[float, list[float]]:
        self.tries += 1
        values = [
            self._fidelity.of_image(position, _infer(compiled, path)) for position, path in enumerate(paths)
        ]
        return sum(values) / len(values), values


def runner(model: Any) -> Callable[[Any], list[Any]]:
    """Compile the model; return what infers one tensor."""
    import openvino

    compiled = openvino.compile_model(model, "CPU")
    return lambda tensor: [array.copy() for array in compiled([tensor]).values()]


def _infer(compiled: Any, path: Any) -> list[Any]:
    import numpy as np

    return [array.copy() for array in compiled([np.load(str(path))]).values()]
