"""What a user should know of the accuracy pass before believing its figures: images without a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.result import ImagesShown, Result


def image_notices(results: Iterable[Result]) -> list[str]:
    """Return a sentence for each variant that has no prediction for some images; trials of one pass have one."""
    told: dict[tuple[str | None, str], str] = {}
    for result in results:
        if result.images is not None and result.images.failed:
            name = f"{result.runtime} {result.format} {result.precision} {result.variant}".rstrip()
            told.setdefault((result.variant_sha256, result.runtime), f"{name}: {_sentence(result.images)}")
    # An image that cannot be read fails for every variant: then it is told once, for the first of them.
    return list({sentence.partition(": ")[2]: sentence for sentence in reversed(told.values())}.values())[
        ::-1
    ]


def _sentence(images: ImagesShown) -> str:
    codes = ", ".join(f"{code} {count}" for code, count in images.codes.items())
    first = "; ".join(images.first)
    return (
        f"{images.failed} of {images.shown} images have no prediction and count as ones where nothing was seen "
        f"({codes}); first: {first}"
    )
