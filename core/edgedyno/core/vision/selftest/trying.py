"""A loaded variant, shown the same images again and again under different readings, within a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from edgedyno.core.vision.preparation import prepare
from edgedyno.core.vision.selftest.reference import wanted_score
from edgedyno.core.vision.selftest.sighting import Look, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.core.manifest import ExpectedObject
    from edgedyno.core.profile import InputSpec
    from edgedyno.core.vision.decoders.base import Floats, Outputs
    from edgedyno.core.vision.geometry import Geometry
    from edgedyno.core.vision.selftest.alternatives import Reading
    from edgedyno.core.vision.selftest.reference import Reference
    from edgedyno.core.vision.selftest.sighting import Sighting

    Infer = Callable[[Floats], Outputs]

# More boxes than this in an image of a few objects are noise: of FP32 models 31 was the most on 17 images.
MOST_BOXES = 100
# A probability, and what rounding adds to it.
_MOST_SCORE = 1.05


class Shown(NamedTuple):
    """An image, and what it shows."""

    name: str
    data: bytes
    expect: Sequence[ExpectedObject] = ()


class Seen(NamedTuple):
    """What is seen of all images under one reading."""

    looks: list[Look]

    @property
    def sightings(self) -> list[Sighting]:
        """Return what was found of each expected object."""
        return [each for one in self.looks for each in one.sightings]

    @property
    def lost(self) -> list[Sighting]:
        """Return what was not seen surely enough."""
        return [each for each in self.sightings if not each.seen]

    @property
    def mean(self) -> float:
        """Return how surely the expected objects are seen, mean over them."""
        scores = [each.score for each in self.sightings]
        return sum(scores) / len(scores) if scores else 0.0

    @property
    def most_boxes(self) -> int:
        """Return how many boxes the fullest image has."""
        return max((one.sure_boxes for one in self.looks), default=0)

    @property
    def top_score(self) -> float:
        """Return the highest score of all."""
        return max((one.top_score for one in self.looks), default=0.0)

    def noise(self, reference: Reference | None) -> str | None:
        """Say what no model that is read rightly gives, whatever it sees; None: there is nothing of the kind."""
        if self.top_score > _MOST_SCORE:
            return f"its scores go up to {self.top_score:.2f}, and a probability only to 1"
        usual = max(MOST_BOXES, 3 * reference.sure_boxes if reference else 0)
        if self.most_boxes > usual:
            return f"it sees {self.most_boxes} things in one image"
        return None

    def passes(self, reference: Reference | None) -> bool:
        """Tell whether every object is seen, and nothing speaks of noise."""
        return not self.lost and self.noise(reference) is None


class Subject:
    """The variant."""

    def __init__(
        self,
        infer: Infer,
        shown: Sequence[Shown],
        *,
        names: Sequence[str],
        reference: Reference | None,
        strict: bool,
        seconds: float,
    ) -> None:
        """Take how to infer; `strict` is FP32's test, and `seconds` all that other readings may take."""
        self._infer = infer
        self._names = names
        self._until = time.monotonic() + seconds
        self._kept: dict[int, tuple[InputSpec, Outputs, Geometry]] = {}
        self.reference = reference
        self.shown = [self._asked(each, index, strict=strict) for index, each in _numbered(shown)]

    def _asked(self, shown: Shown, first: int, *, strict: bool) -> Shown:
        expect: list[Any] = [
            replace(each, min_score=wanted_score(each, self.reference, first + number, strict=strict))
            for number, each in enumerate(shown.expect)
        ]
        return shown._replace(expect=expect)

    @property
    def late(self) -> bool:
        """Tell whether the time for other readings is over."""
        return time.monotonic() > self._until

    def infer(self, tensor: Floats) -> Outputs:
        """Return the outputs for a prepared tensor."""
        return self._infer(tensor)

    def tensor(self, index: int, spec: InputSpec) -> Floats:
        """Return an image as the model gets it."""
        return prepare(self.shown[index].data, spec).tensor

    def outputs(self, index: int, spec: InputSpec) -> tuple[Outputs, Geometry]:
        """Return the outputs for an image; those for the way that it was first prepared are kept."""
        kept = self._kept.get(index)
        if kept is not None and kept[0] == spec:
            return kept[1], kept[2]
        prepared = prepare(self.shown[index].data, spec)
        outputs = list(self._infer(prepared.tensor))
        self._kept.setdefault(index, (spec, outputs, prepared.geometry))
        return outputs, prepared.geometry

    def see(self, reading: Reading) -> Seen:
        """Return what is seen under a reading. Raises EdgedynoError where it cannot be followed."""
        looks = []
        for index, shown in enumerate(self.shown):
            outputs, geometry = self.outputs(index, reading.input)
            looks.append(look(outputs, reading, geometry, shown.expect, shown.name, self._names))
        return Seen(looks)


def _numbered(shown: Sequence[Shown]) -> list[tuple[int, Shown]]:
    """Return each image with the number of its first expected object."""
    numbered, first = [], 0
    for each in shown:
        numbered.append((first, each))
        first += len(each.expect)
    return numbered
