"""What a user should know of the accuracy pass before believing its figures: what has no prediction, or no score."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.result import ImagesShown, Result


def pass_notices(results: Iterable[Result], *, labelled: bool) -> list[str]:
    """Return a sentence for each variant without a prediction for some images, and each reason for no accuracy.

    Trials of one pass share its sentence. `labelled` tells whether there was anything to score with.
    """
    results = list(results)
    return [*_without_prediction(results), *(_without_score(results) if labelled else [])]


def _without_prediction(results: list[Result]) -> list[str]:
    told: dict[tuple[str | None, str], str] = {}
    for result in results:
        if result.images is not None and result.images.failed:
            told.setdefault(
                (result.variant_sha256, result.runtime), f"{_name(result)}: {_sentence(result.images)}"
            )
    # An image that cannot be read fails for every variant: then it is told once, for the first of them.
    return list({sentence.partition(": ")[2]: sentence for sentence in reversed(told.values())}.values())[
        ::-1
    ]


def _without_score(results: list[Result]) -> list[str]:
    names: dict[str, dict[str, None]] = {}
    for result in results:
        if result.status == "ok" and result.accuracy is None and result.accuracy_reason:
            names.setdefault(result.accuracy_reason, {})[_name(result)] = None
    return [f"no accuracy of {', '.join(each)}: {reason}" for reason, each in names.items()]


def _name(result: Result) -> str:
    return f"{result.runtime} {result.format} {result.precision} {result.variant}".rstrip()


def _sentence(images: ImagesShown) -> str:
    codes = ", ".join(f"{code} {count}" for code, count in images.codes.items())
    # One example of each code says it all: what a decoder cannot read fails in every image alike.
    first = "; ".join({each.partition(": ")[0]: each for each in reversed(images.first)}.values())
    return (
        f"{images.failed} of {images.shown} images have no prediction and count as ones where nothing was seen "
        f"({codes}); first: {first}"
    )
