"""How a model becomes INT8: equalize channels, calibrate, clip, quantize. Works on any `.param` and `.bin` in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgedyno.controller.lab.variants.tools.ncnn_calibration import count, measure
from edgedyno.controller.lab.variants.tools.ncnn_equalize import equalize, free_writers, reader_factors
from edgedyno.controller.lab.variants.tools.ncnn_int8 import (
    Quantized,
    candidates,
    handed_on,
    quantize,
    readers,
)
from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_ranges import NEEDS_HISTOGRAM, clip_at
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_run import Network
    from edgedyno.controller.lab.variants.tools.ncnn_statistics import Statistics

    Floats = NDArray[np.float32]

DEFAULT_METHOD = "kl"
# Largest divisor in parts of the smallest: below it nothing is to be gained.
_UNEVEN = 1.5


class Recipe(NamedTuple):
    """What to do beyond integers and scales."""

    method: str = DEFAULT_METHOD
    """Of `ncnn_ranges.METHODS`: where activations are clipped."""
    equalize: bool = True
    correct_bias: bool = True
    per_channel: bool = True
    """Whether inputs that are floats get a scale per channel where channels differ."""
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
    found = _calibrated(model, reference, calibration, inputs, recipe)
    result = quantize(
        graph,
        model.weights,
        found.clips,
        found.means if recipe.correct_bias else None,
        found.divisors,
    )
    used = found.clips
    silent = [graph.layers[index].name for index in inputs if index not in used]
    return Model(result.graph, result.weights), {
        **_details(result, recipe),
        "equalized_layers": equalized,
        "float_layers": [graph.layers[index].name for index in sorted(kept)],
        **({"always_zero": silent} if silent else {}),
    }


class Readings(NamedTuple):
    """How each layer reads its input, by its place in the graph; layers that see nothing but zeros are left out."""

    clips: dict[int, float]
    means: dict[int, Floats]
    divisors: dict[int, Floats]


def _calibrated(
    model: Model, reference: Network, calibration: Sequence[str], inputs: dict[int, str], recipe: Recipe
) -> Readings:
    statistics = measure(reference, list(dict.fromkeys(inputs.values())), calibration)
    used = {index: blob for index, blob in inputs.items() if statistics[blob].largest > 0}
    divisors = _divisors(model, used, statistics) if recipe.per_channel else {}
    views = {
        index: statistics[blob].divided(divisors[index]) if index in divisors else statistics[blob]
        for index, blob in used.items()
    }
    if recipe.method in NEEDS_HISTOGRAM:
        by_blob: dict[str, list[Statistics]] = {}
        for index, blob in used.items():
            seen = by_blob.setdefault(blob, [])
            if views[index] not in seen:
                seen.append(views[index])
        count(reference, by_blob, calibration)
    return Readings(
        {index: clip_at(view, recipe.method) for index, view in views.items()},
        {index: view.channel_means() for index, view in views.items()},
        divisors,
    )


def _divisors(model: Model, inputs: dict[int, str], statistics: dict[str, Statistics]) -> dict[int, Floats]:
    """Return divisors for the layers that read floats with channels of different size."""
    graph = model.graph
    integers = handed_on(graph, dict.fromkeys(inputs, 1.0))
    consumers = graph.consumers()
    handed = {at for index in integers for at in readers(graph, consumers, graph.layers[index].tops[0])}
    found = {}
    for index, blob in inputs.items():
        if index in handed or not statistics[blob].images:
            continue
        each = reader_factors(graph.layers[index], model.weights[index], statistics[blob].channel_peaks())
        if each is not None and each.max() > _UNEVEN * each.min():
            found[index] = each
    return found


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
        "activations": "int8 symmetric per tensor",
        "calibration_method": recipe.method,
        "bias_correction": recipe.correct_bias,
        "int8_layers": len(result.integer),
        "requantized_layers": len(result.requantized),
        "divided_layers": len(result.divided),
    }
    if result.levels:
        details["reduced_weights"] = result.levels
    return details
