"""The words for what was found in a model file."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning"]


class Tensor(Struct, frozen=True, omit_defaults=True):
    """An input or output."""

    name: str
    dtype: str | None
    shape: list[int | None] | None
    """None for a side that the file leaves open, or for the whole where the file does not say."""
    layout: str | None = None
    """A guess by the shape: NCHW or NHWC."""
    scale: float | None = None
    zero_point: int | None = None


class Trip(Struct, frozen=True):
    """Something that will stop or mislead a user of the file, and what to do about it."""

    code: str
    text: str
    severity: Severity = "warning"
    """An error: no runtime will run it as it is."""


class Inspection(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a model file is."""

    format: str
    """One of edgedyno's formats, or what else it is."""
    files: list[str]
    size_bytes: int
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    operators: int | None = None
    operator_types: dict[str, int] = {}
    version: str | None = None
    """Operator sets, schema version, or the tool that made it."""
    weights: dict[str, int] = {}
    """Elements of constants by type."""
    precision: str | None = None
    """fp32, fp16, int8 or mixed, by its weights; None where the file does not tell."""
    quantization: str | None = None
    trips: list[Trip] = []
    notes: list[str] = []


def layout_of(shape: list[int | None] | None) -> str | None:
    """Guess the layout of an image input by where its three channels stand."""
    if shape is None or len(shape) != 4:  # noqa: PLR2004 - batch, channels and two sides
        return None
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        return None
    return "NCHW" if first else "NHWC"


_NARROW = frozenset({"int8", "uint8", "int4", "uint4"})


def precision_of(weights: dict[str, int]) -> str | None:
    """Name the precision of most of a file's weights; mixed where none has nine tenths (biases stay wider)."""
    counts = {"fp32": 0, "fp16": 0, "int8": 0}
    for dtype, count in weights.items():
        if dtype in ("float32", "float64"):
            counts["fp32"] += count
        elif dtype in ("float16", "bfloat16"):
            counts["fp16"] += count
        elif dtype in _NARROW:
            counts["int8"] += count
    total = sum(counts.values())
    if not total:
        return None
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] >= 0.9 * total else "mixed"
