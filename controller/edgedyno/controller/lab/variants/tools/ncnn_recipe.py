"""How a model becomes INT8: equalize channels, calibrate, clip, quantize. Works on any `.param` and `.bin` in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgedyno.controller.lab.variants.tools.ncnn_calibration import measure
from edgedyno.controller.lab.variants.tools.ncnn_equalize import equalize, free_writers
from edgedyno.controller.lab.variants.tools.ncnn_int8 import Quantized, candidates
from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_ranges import METHODS, NEEDS_HISTOGRAM
from edgedyno.controller.lab.variants.tools.ncnn_readings import read
from edgedyno.controller.lab.variants.tools.ncnn_search import Judge, leave_in_float, nearest_method
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph
    from edgedyno.controller.lab.variants.tools.ncnn_run import Network

AUTO = "auto"
"""Try all methods and take the one that comes nearest to the float model."""
CHOICES = (*METHODS, AUTO)
DEFAULT_METHOD = "kl"


class Recipe(NamedTuple):
    """What to do beyond integers and scales."""

    method: str = DEFAULT_METHOD
    """Of `CHOICES`: where activations are clipped."""
    equalize: bool = True
    correct_bias: bool = True
    per_channel: bool = True
    """Whether inputs that are floats get a scale per channel where channels differ."""
    keep_float: tuple[int, ...] = ()
    """Places in the graph of layers that stay in float."""
    allowed_drop: float | None = None
    """Leave in float besides what it takes to keep to this drop, in the measure of `fidelity`."""


def to_int8(
    model: Model, reference: Network, calibration: Sequence[str], recipe: Recipe, scratch: Path
) -> tuple[Model, dict[str, Any]]:
    """Return the model in INT8 and how it was made; `reference` runs it in float.

    Layers that only ever see zeros stay in float too: they have no range.
    """
    graph, kept = model.graph, set(recipe.keep_float)
    inputs = _inputs(graph, kept)
    balanced, network, equalized = model, reference, 0
    if recipe.equalize:
        balanced, network, equalized = _equalized(model, reference, calibration, scratch)
    histograms = recipe.method == AUTO or recipe.method in NEEDS_HISTOGRAM
    readings = read(
        balanced, network, calibration, inputs, per_channel=recipe.per_channel, histograms=histograms
    )
    details: dict[str, Any] = {"calibration_method": recipe.method, "equalized_layers": equalized}
    judge = None
    if recipe.method == AUTO or recipe.allowed_drop is not None:
        judge = Judge(reference, calibration, scratch)
    method = recipe.method
    if judge and method == AUTO:
        method, drops = nearest_method(readings, judge, (), correct_bias=recipe.correct_bias)
        details |= {"calibration_method": method, "methods_tried": drops}
    clips = readings.clips(method)
    searched: list[int] = []
    if judge and recipe.allowed_drop is not None and clips:
        searched, details["accuracy_control"] = leave_in_float(
            readings, clips, judge, recipe.allowed_drop, correct_bias=recipe.correct_bias
        )
    result = readings.quantized(clips, searched, correct_bias=recipe.correct_bias)
    silent = [graph.layers[index].name for index in inputs if index not in readings.views]
    return Model(result.graph, result.weights), {
        **_details(result, recipe),
        **details,
        "float_layers": [graph.layers[index].name for index in sorted(kept.union(searched))],
        **({"always_zero": silent} if silent else {}),
    }


def _inputs(graph: Graph, kept: set[int]) -> dict[int, str]:
    """Return the blob that each layer to quantize reads."""
    sources = graph.sources()
    layers = [index for index in candidates(graph) if index not in kept]
    if not layers:
        raise BuildError("variant.nothing", "no layer of the model is left that ncnn can compute in INT8")
    return {index: sources[graph.layers[index].bottoms[0]] for index in layers}


def _equalized(
    model: Model, reference: Network, calibration: Sequence[str], scratch: Path
) -> tuple[Model, Network, int]:
    """Return the model with balanced channels, loaded, and how many layers write such channels."""
    blobs = {index: model.graph.layers[index].tops[0] for index in free_writers(model.graph)}
    if not blobs:
        return model, reference, 0
    statistics = measure(reference, list(blobs.values()), calibration)
    peaks = {index: statistics[blob].channel_peaks() for index, blob in blobs.items()}
    changed = model._replace(weights=equalize(model.graph, model.weights, peaks))
    return changed, Files(scratch / "equalized").write(changed), len(blobs)


def _details(result: Quantized, recipe: Recipe) -> dict[str, Any]:
    details: dict[str, Any] = {
        "method": "edgedyno's quantizer for ncnn",
        "weights": "int8 per output channel, depthwise per group; the rest stored in FP16",
        "activations": "int8 symmetric, per tensor; per channel where floats are read (`divided_layers`)",
        "bias_correction": recipe.correct_bias,
        "int8_layers": len(result.integer),
        "requantized_layers": len(result.requantized),
        "divided_layers": len(result.divided),
    }
    if result.levels:
        details["reduced_weights"] = result.levels
    return details
