"""Statistics of what layers see on calibration images: the network runs twice over them, one image at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_statistics import Statistics
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_run import Network


def measure(network: Network, blobs: Sequence[str], paths: Sequence[str]) -> dict[str, Statistics]:
    """Return the extremes and moments of these blobs over the tensors in .npy files.

    Memory holds one image's blobs at a time, whatever the number of images. Raises BuildError
    (variant.not-finite) for a blob with NaN or infinities.
    """
    found = {blob: Statistics() for blob in blobs}
    for blob, values in _all_values(network, blobs, paths):
        found[blob].measure(values)
    for blob, statistics in found.items():
        if not statistics.finite:
            raise BuildError(
                "variant.not-finite", f"blob {blob} is infinite or NaN on calibration images: it has no range"
            )
    return found


def count(network: Network, views: Mapping[str, Sequence[Statistics]], paths: Sequence[str]) -> None:
    """Fill the histograms of all views of each blob, over the same tensors."""
    used = [blob for blob, each in views.items() if each[0].largest > 0]
    for blob, values in _all_values(network, used, paths):
        for view in views[blob]:
            view.count(values)


def _all_values(
    network: Network, blobs: Sequence[str], paths: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for path in paths:
        yield from zip(blobs, network.blobs(np.load(path), blobs), strict=True)
