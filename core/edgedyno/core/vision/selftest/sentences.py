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
    """How the images are called."""

    images: str = "known image"
    objects: str = "expected object"

    def passed(self, seen: Seen, images: int) -> str:
        """Say that all is well."""
        return f"sees {self._counted(seen)} in {_many(images, self.images)}, with {seen.mean:.2f} on average"

    def missed(self, seen: Seen, reference: Reference | None) -> str:
        """Say what is not seen, and what speaks of noise."""
        lines = [each.text for each in seen.lost]
        shown = "; ".join(lines[:_MOST_SHOWN])
        more = f"; and {len(lines) - _MOST_SHOWN} more" if len(lines) > _MOST_SHOWN else ""
        counted = f"sees {self._counted(seen)} in {_many(len(seen.looks), self.images)}"
        parts = [counted + (f" ({shown}{more})" if shown else ""), seen.noise(reference)]
        return "; ".join(part for part in parts if part)

    def failed(self, what: str, code: str | None, why: str) -> str:
        """Say what failed, what it looks like and why."""
        return f"{what}: {f'it looks like {MEANINGS[code]}: ' if code else ''}{why}"

    def _counted(self, seen: Seen) -> str:
        total = len(seen.sightings)
        return f"{total - len(seen.lost)} of {_many(total, self.objects)}"


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
