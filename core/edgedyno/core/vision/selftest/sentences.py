"""The sentences of a self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.core.vision.selftest.reference import Reference
    from edgedyno.core.vision.selftest.trying import Seen

MEANINGS = {
    "input.colour-order": "a wrong colour order",
    "input.scale": "a wrong scale of the input's numbers",
    "input.resize": "a wrong way of resizing",
    "input.layout": "a wrong layout of the input",
    "input.dtype": "numbers that do not fit the type of the model's input",
    "output.boxes": "boxes in another unit",
    "output.activation": "a sigmoid or softmax that is missing or doubled",
    "output.decoder": "another decoder's output",
    "output.background": "a background class taken for one of the model's",
    "output.classes": "classes in another order",
    "output.constant": "a dead output",
    "output.not-a-number": "an output that is not a number",
    "calibration.clipped": "a calibration that clips",
    "quantization.shared-scale": "boxes and scores quantized with one scale",
    "quantization.damage": "damage by quantization",
}
_MOST_SHOWN = 2


class Words(Struct, frozen=True):
    """How the images and what they show are called, one and many."""

    image: tuple[str, str] = ("known image", "known images")
    thing: tuple[str, str] = ("expected object", "expected objects")
    may_lose: float = 0.0
    """Which share of the objects may be missed, since nobody says that they are there."""

    def passed(self, seen: Seen, images: int) -> str:
        """Say that all is well."""
        return f"{self._counted(seen, images)}, with {seen.mean:.2f} on average"

    def missed(self, seen: Seen, reference: Reference | None) -> str:
        """Say what is not seen, and what speaks of noise."""
        lines = [each.text for each in seen.lost]
        shown = lines[:_MOST_SHOWN]
        if len(lines) > _MOST_SHOWN:
            shown.append(f"and {len(lines) - _MOST_SHOWN} more")
        counted = self._counted(seen, len(seen.looks))
        parts = [f"{counted} (missing: {'; '.join(shown)})" if shown else counted, seen.noise(reference)]
        return "; ".join(part for part in parts if part)

    def failed(self, what: str, code: str | None, why: str) -> str:
        """Say what failed, what it looks like and why."""
        return f"{what}: it looks like {MEANINGS[code]}: {why}" if code else f"{what}: {why}"

    def _counted(self, seen: Seen, images: int) -> str:
        total = len(seen.sightings)
        thing, image = self.thing[total != 1], self.image[images != 1]
        return f"sees {total - len(seen.lost)} of {total} {thing} in {images} {image}"
