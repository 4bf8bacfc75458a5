"""Signs of life of raw outputs over a pass: not a number, infinite, flat, the same for every image.

Not responsible for what they mean: a model may well say the same about two images.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.agent.measure.journal import OutputSigns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Output = NDArray[np.generic]

_SAMPLED = (
    4096  # values that tell two outputs apart, besides their extremes: all would cost as much as decoding
)


def output_name(index: int, output: Output) -> str:
    """Name an output by its place and shape; runtimes do not agree on names."""
    return f"output {index} ({'x'.join(str(size) for size in output.shape) or 'scalar'})"


def add_signs(signs: list[OutputSigns], last: list[str], outputs: Sequence[Output]) -> None:
    """Take one image's outputs in; `last` holds what is needed to know those of the image before again."""
    if len(signs) != len(outputs):
        signs[:] = [OutputSigns(output_name(index, output)) for index, output in enumerate(outputs)]
        last[:] = [""] * len(outputs)
    for index, (sign, output) in enumerate(zip(signs, outputs, strict=True)):
        if output.size:
            last[index] = _add(sign, output, last[index])


def _add(sign: OutputSigns, output: Output, last: str) -> str:
    low, high = float(output.min()), float(output.max())
    sign.images += 1
    sign.not_a_number += bool(np.isnan(low))
    sign.flat += low == high
    if not (np.isfinite(low) and np.isfinite(high)):
        values = output.astype(np.float64)
        sign.infinite += bool(np.isinf(values).any())
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    if np.isfinite(low):
        sign.low = low if sign.low is None else min(low, sign.low)
        sign.high = high if sign.high is None else max(high, sign.high)
    known = _known_by(output, low, high)
    sign.repeated += known == last
    return known


def _known_by(output: Output, low: float, high: float) -> str:
    flat = output.reshape(-1)
    sample = np.ascontiguousarray(flat[:: max(1, flat.size // _SAMPLED)])
    return f"{low!r} {high!r} {zlib.crc32(sample.view(np.uint8).data)}"
