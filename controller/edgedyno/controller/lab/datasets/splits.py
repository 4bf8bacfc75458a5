"""Which part of a data set to score with, where it comes in several: what is kept for validation."""

from __future__ import annotations

import re
from typing import TypeVar

T = TypeVar("T")
# What was trained on says little of a model's accuracy, so it comes last.
PREFERRED = ("val", "test", "train")
_WORDS = {"valid": "val", "validation": "val", "testing": "test", "training": "train"}
_PART = re.compile(r"(?:^|[^a-z])(val|valid|validation|test|testing|train|training)(?=[^a-z]|$)")


def split_of(name: str) -> str | None:
    """Return val, test or train where a name contains one of them, as `instances_val2017` does."""
    found = _PART.findall(name.lower())
    return _WORDS.get(found[-1], found[-1]) if found else None


def prefer(named: dict[str, T]) -> tuple[T, str] | None:
    """Return what is of the best split and how it was chosen; None where that is not exactly one."""
    for split in PREFERRED:
        chosen = [name for name in named if split_of(name) == split]
        if len(chosen) == 1 and all(split_of(name) for name in named):
            others = [name for name in named if name != chosen[0]]
            words = f"{chosen[0]}, of {', '.join(sorted(named))}" if others else chosen[0]
            return named[chosen[0]], words
        if chosen:
            return None
    return None
