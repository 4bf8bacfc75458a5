"""How much each block of a model suffers from being quantized alone: the noise that reaches the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from msgspec import Struct

from edgedyno.controller.lab.source import input_name
from edgedyno.controller.lab.variants.comparison import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.quantizer import Quantizer

    Floats = NDArray[np.float64]

# Each block costs a file, a session and an inference on each image.
MAX_BLOCKS = 24
MAX_IMAGES = 8
_ANCHORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_BATCHED_MAP = 4
_BATCHED_ROWS = 3


class Block(Struct, frozen=True):
    """Neighbouring nodes that are quantized, or left in float, together."""

    nodes: list[str]
    noise_ratio: float = 0.0
    """Power of the noise over that of the signal, at the outputs."""


def blocks_of(model: Any, excluded: Sequence[str]) -> list[Block]:
    """Cut the graph into at most MAX_BLOCKS runs of nodes, each from one product of matrices to the next."""
    runs: list[list[str]] = [[]]
    anchors = 0
    for node in model.graph.node:
        if node.op_type in _ANCHORS:
            anchors += 1
            # What stands before the first product belongs to it.
            if anchors > 1:
                runs.append([])
        if node.name not in excluded:
            runs[-1].append(node.name)
    kept = [run for run in runs if run]
    size = max(1, -(-len(kept) // MAX_BLOCKS))
    groups = [kept[start : start + size] for start in range(0, len(kept), size)]
    return [Block([name for run in group for name in run]) for group in groups]


def rank(quantizer: Quantizer, blocks: Sequence[Block], tensors: Sequence[str], folder: Path) -> list[Block]:
    """Return the blocks, the most sensitive first, with the noise that each causes alone.

    The noise is taken channel by channel: boxes in hundreds of pixels would hide scores of a thousandth.
    """
    inputs = [np.load(path) for path in tensors[:MAX_IMAGES]]
    name = input_name(onnx.load(quantizer.model))
    reference = _infer(quantizer.model, name, inputs)
    measured = []
    for block in blocks:
        target = folder / "block.onnx"
        quantizer.write(target, excluded=[], only=block.nodes)
        noisy = _infer(target, name, inputs)
        measured.append(Block(block.nodes, _noise_ratio(reference, noisy)))
    return sorted(measured, key=lambda block: -block.noise_ratio)


def _infer(path: Path, name: str, inputs: Sequence[Any]) -> list[list[Floats]]:
    session = open_session(path)
    return [[np.asarray(each, np.float64) for each in session.run(None, {name: tensor})] for tensor in inputs]


def _noise_ratio(reference: list[list[Floats]], noisy: list[list[Floats]]) -> float:
    """Return noise over signal, the mean over images, outputs and channels."""
    ratios = [
        _per_channel(clean, dirty)
        for ours, theirs in zip(reference, noisy, strict=True)
        for clean, dirty in zip(ours, theirs, strict=True)
    ]
    return float(np.mean(ratios)) if ratios else 0.0


def _per_channel(clean: Floats, dirty: Floats) -> float:
    axes = tuple(axis for axis in range(clean.ndim) if axis != _channel_axis(clean.shape))
    noise = np.square(clean - dirty).sum(axis=axes)
    signal = np.square(clean).sum(axis=axes)
    heard = signal > 0
    return float(np.mean(noise[heard] / signal[heard])) if np.any(heard) else 0.0


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return which axis tells quantities apart: of a list of boxes the shorter one, of a map the second."""
    if len(shape) == _BATCHED_MAP:
        return 1
    if len(shape) == _BATCHED_ROWS:
        return 1 if shape[1] < shape[2] else 2
    return None
