"""One image's raw outputs as a prediction, or the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.core.errors import EdgedynoError
from edgedyno.core.result import ImagePrediction
from edgedyno.core.vision import decode, decode_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.core.manifest import Manifest, Variant
    from edgedyno.core.vision import Geometry


def read_outputs(
    outputs: Sequence[NDArray[np.generic]],
    image_id: int,
    geometry: Geometry,
    *,
    variant: Variant,
    manifest: Manifest,
) -> ImagePrediction:
    """Decode what a variant says of an image, as it or the model's profile asks for."""
    spec = variant.output or manifest.model.output
    try:
        if manifest.model.task == "classify":
            return ImagePrediction(image_id, classes=decode_classes(outputs, spec))
        return ImagePrediction(image_id, detections=decode(outputs, spec, geometry))
    except EdgedynoError as error:
        return ImagePrediction(image_id, error=f"{error.code}: image {image_id}: {error}")
