"""What FP32 made of the images of a self-test: other variants are compared with it."""

from __future__ import annotations

from msgspec import Struct

from edgedyno.core.manifest import ExpectedObject
from edgedyno.core.vision.selftest.alternatives import Reading
from edgedyno.core.vision.selftest.symptoms import Traits


class Reference(Struct, frozen=True):
    """FP32's own self-test, as far as others need it; small, so that it can be kept in a file."""

    reading: Reading
    passed: bool
    traits: Traits
    """Of the first image's outputs."""
    sure_boxes: int
    """The most in one image."""
    scores: list[float] = []
    """Of each expected object, image by image."""
    looks_like: str | None = None
    changes: list[str] = []
    better: Reading | None = None
    """With which it sees what it does not see as its profile says."""
    expect: dict[str, list[ExpectedObject]] = {}
    """Where the profile names no known image: what FP32 is sure to see, by the name of the image."""


def wanted_score(expected: ExpectedObject, reference: Reference | None, index: int, *, strict: bool) -> float:
    """Return the score with which object `index` counts as seen.

    FP32 has to reach what the profile says; another variant half of what FP32 reaches, for scores fall in
    quantization before objects are lost. What FP32 itself misses is held against the profile's half.
    """
    if strict:
        return expected.min_score
    reached = reference.scores[index] if reference and index < len(reference.scores) else 0.0
    return 0.5 * (min(expected.min_score, reached) if reached >= expected.min_score else expected.min_score)
