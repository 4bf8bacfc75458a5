"""Which nodes to leave in float so that INT8 keeps within a drop: greedy by sensitivity, as few as will do.

The most sensitive blocks are left in float one, two, four … at a time until the drop is small enough; then the
last step is halved until no fewer will do. About ten files are compared with FP32 in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from msgspec import Struct

from edgedyno.controller.lab.variants.comparison import Comparison
from edgedyno.controller.lab.variants.sensitivity import MAX_IMAGES, Block, blocks_of, rank
from edgedyno.controller.lab.variants.tools.fewest import fewest
from edgedyno.core.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.controller.lab.variants.quantizer import Quantizer
    from edgedyno.controller.lab.variants.request import BuildRequest

_POINTS = 100


class Found(Struct, frozen=True):
    """What a search chose, and how it came to it."""

    excluded: list[str]
    """Names of the nodes to leave in float, those of the profile among them."""
    details: dict[str, Any]


def search(quantizer: Quantizer, request: BuildRequest, *, excluded: list[str], folder: Path) -> Found:
    """Return the fewest of the most sensitive blocks whose absence from INT8 keeps the drop within the limit.

    Raises RunError: variant.accuracy with the nearest miss, variant.no-reference.
    """
    limit = request.model.quantize.accuracy_control or 0.0
    comparison = Comparison(request, quantizer.model)
    blocks = blocks_of(onnx.load(quantizer.model), excluded)
    # Without calibration images (dynamic quantization needs none) blocks stand in the model's order.
    ranked = rank(quantizer, blocks, request.calibration, folder) if request.calibration else blocks
    path: dict[int, float] = {}

    def drop(count: int) -> float:
        if count not in path:
            target = folder / "tried.onnx"
            quantizer.write(target, excluded=[*excluded, *_nodes(ranked[:count])])
            path[count] = comparison.drop(target)
        return path[count]

    count = fewest(drop, len(ranked), limit)
    tried = [{"blocks_in_float": number, "drop": round(path[number], 5)} for number in path]
    if count is None:
        raise RunError(_nearest_miss(path, ranked, limit, comparison.by), code="variant.accuracy")
    details = {
        "accuracy_control": limit,
        "drop": round(path[count], 5),
        "drop_by": comparison.by,
        "reference": round(comparison.reference, 5),
        "blocks": len(ranked),
        "blocks_in_float": [
            {"nodes": block.nodes, "noise_ratio": float(f"{block.noise_ratio:.3g}")}
            for block in ranked[:count]
        ],
        "tried": tried,
        "ranked_on_images": min(len(request.calibration), MAX_IMAGES),
    }
    return Found([*excluded, *_nodes(ranked[:count])], details)


def _nodes(blocks: Sequence[Block]) -> list[str]:
    return [name for block in blocks for name in block.nodes]


def _nearest_miss(path: dict[int, float], ranked: Sequence[Block], limit: float, by: str) -> str:
    count = min(path, key=lambda number: path[number])
    return (
        f"no choice of blocks to leave in float keeps the drop within {limit * _POINTS:g} points ({by}): the "
        f"nearest loses {path[count] * _POINTS:.2f} points with {count} of {len(ranked)} blocks in float; "
        f"tried {', '.join(str(number) for number in path)}"
    )
