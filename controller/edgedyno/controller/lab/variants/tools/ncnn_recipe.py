"""How a model becomes INT8: equalize channels, calibrate, clip, quantize. Works on any `.param` and `.bin` in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgedyno.controller.lab.variants.tools.ncnn_calibration import calibrate
from edgedyno.controller.lab.variants.tools.ncnn_equalize import equalize, free_writers
from edgedyno.controller.lab.variants.tools.ncnn_int8 import Quantized, candidates, quantize
from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_ranges import NEEDS_HISTOGRAM, clip_at
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.controller.lab.variants.tools.ncnn_run import Network

DEFAULT_METHOD = "kl"


class Recipe(NamedTuple):
    """What to do beyond integers and scales."""

    method: str = DEFAULT_METHOD
    """Of `ncnn_ranges.METHODS`: where activations are clipped."""
    equalize: bool = True
    correct_bias: bool = True
    keep_float: tuple[int, ...] = ()
    """Places in the graph of layers that stay in float."""


def to_int8(
    model: Model, reference: Network, calibration: Sequence[str], recipe: Recipe, scratch: Path
) -> tuple[Model, dict[str, Any]]:
    """Return the model in INT8 and how it was made; `reference` runs it in float.

    Layers that only ever see zeros stay in float too: they have no range.
    """
    graph, kept = model.graph, set(recipe.keep_float)
    sources = graph.sources()
    layers = [index for index in candidates(graph) if index not in kept]
    inputs = {index: sources[graph.layers[index].bottoms[0]] for index in layers}
    if not inputs:
        raise BuildError("variant.nothing", "no layer of the model is left that ncnn can compute in INT8")
    equalized = 0
    if recipe.equalize:
        model, reference, equalized = _equalized(model, reference, calibration, scratch)
    blobs = list(dict.fromkeys(inputs.values()))
    histograms = recipe.method in NEEDS_HISTOGRAM
    statistics = calibrate(reference, blobs, calibration, histograms=histograms)
    clips = {blob: clip_at(found, recipe.method) for blob, found in statistics.items()}
    used = {index: blob for index, blob in inputs.items() if clips[blob] > 0}
    result = quantize(
        graph,
        model.weights,
        {index: clips[blob] for index, blob in used.items()},
        {index: statistics[blob].channel_means() for index, blob in used.items()}
        if recipe.correct_bias
        else None,
    )
    silent = [graph.layers[index].name for index in inputs if index not in used]
    return Model(result.graph, result.weights), {
        **_details(result, recipe),
        "equalized_layers": equalized,
        "float_layers": [graph.layers[index].name for index in sorted(kept)],
        **({"always_zero": silent} if silent else {}),
    }


def _equalized(
    model: Model, reference: Network, calibration: Sequence[str], scratch: Path
) -> tuple[Model, Network, int]:
    """Return the model with balanced channels, loaded, and how many layers write such channels."""
    blobs = {index: model.graph.layers[index].tops[0] for index in free_writers(model.graph)}
    if not blobs:
        return model, reference, 0
    statistics = calibrate(reference, list(blobs.values()), calibration, histograms=False)
    peaks = {index: statistics[blob].channel_peaks() for index, blob in blobs.items()}
    changed = model._replace(weights=equalize(model.graph, model.weights, peaks))
    return changed, Files(scratch / "equalized").write(changed), len(blobs)


def _details(result: Quantized, recipe: Recipe) -> dict[str, Any]:
    details: dict[str, Any] = {
        "method": "edgedyno's quantizer for ncnn",
        "weights": "int8 per output channel, depthwise per group; the rest stored in FP16",
        "activations": "int8 symmetric per tensor",
        "calibration_method": recipe.method,
        "bias_correction": recipe.correct_bias,
        "int8_layers": len(result.integer),
        "requantized_layers": len(result.requantized),
    }
    if result.levels:
        details["reduced_weights"] = result.levels
    return details
