"""What each variant loses class by class: the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.report.fidelity import by_variant, name_variants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedyno.core.result import Bounded, Result

SHOWN = 12
# A class with fewer labelled boxes says little: one box more or less moves its score by several points.
FEW_BOXES = 10


@dataclass(frozen=True)
class ClassDrop:
    """One class of one variant."""

    name: str
    drop: Bounded
    boxes: int | None
    score: float | None
    """The variant's own, on the class."""

    @property
    def few(self) -> bool:
        """Tell whether the class has few labelled boxes, as far as that is known."""
        return self.boxes is not None and self.boxes < FEW_BOXES


@dataclass(frozen=True)
class ClassDrops:
    """All classes of one variant, the worst first."""

    variant: str
    precision: str
    rows: list[ClassDrop]

    @property
    def shown(self) -> list[ClassDrop]:
        """Return those that are drawn: what loses most, without rows of classes that lose nothing."""
        losing = [row for row in self.rows if row.drop.value > 0]
        return (losing or self.rows)[:SHOWN]

    @property
    def rest(self) -> list[ClassDrop]:
        """Return those that stand in the table only."""
        return self.rows[len(self.shown) :]


def describe_classes(results: Sequence[Result], boxes: Mapping[str, int]) -> list[ClassDrops]:
    """Return the drops of each variant that differs from FP32 in any class."""
    variants = by_variant(results)
    names = name_variants(variants)
    found, seen = [], set()
    for result in variants:
        drop = result.accuracy_drop
        if drop is None or not any(one.value for one in drop.classes.values()):
            continue
        key = tuple((name, one.value) for name, one in drop.classes.items())
        if key in seen:
            continue
        seen.add(key)
        scores = result.accuracy.classes if result.accuracy else {}
        rows = [ClassDrop(name, one, boxes.get(name), scores.get(name)) for name, one in drop.classes.items()]
        rows.sort(key=lambda row: (-row.drop.value, row.name))
        found.append(ClassDrops(names[result.trial], result.precision, rows))
    return found
