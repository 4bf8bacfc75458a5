"""How a variant is made, as data: the key under which it is kept, and what is worth a warning."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.core.manifest import Variant

if TYPE_CHECKING:
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import Precision
    from edgedyno.core.manifest import ArtifactRef, ResolvedJob

# Counts up when the same inputs would give another file.
RECIPE_VERSION = 1
MIN_CALIBRATION_IMAGES = 32
_TOOLS = {
    "fp32": (),
    "fp16": ("onnx", "onnxconverter-common", "numpy"),
    "int8": ("onnx", "onnxruntime", "numpy", "opencv-python-headless"),
}


def ingredients(resolved: ResolvedJob, precision: Precision, *, reduce_range: bool) -> dict[str, Any]:
    """Return everything that decides what the variant's file is."""
    common = {
        "recipe_version": RECIPE_VERSION,
        "precision": precision,
        "source_sha256": resolved.source.sha256,
        "tools": {tool: version(tool) for tool in _TOOLS[precision]},
    }
    if precision != "int8":
        return common
    return {
        **common,
        "reduce_range": reduce_range,
        "input": _plain(resolved.model.input),
        "quantize": _plain(resolved.model.quantize),
        "calibration_sha256": [image.sha256 for image in resolved.calibration],
    }


def _plain(value: msgspec.Struct) -> Any:
    """Return the value as it comes back from JSON, so that a recipe equals itself after a journey."""
    return msgspec.json.decode(msgspec.json.encode(value))


def warnings(resolved: ResolvedJob, precision: Precision) -> list[str]:
    """Return what a reader of the accuracy has to know about the calibration."""
    if precision != "int8" or not resolved.calibration:
        return []
    found = []
    if len(resolved.calibration) < MIN_CALIBRATION_IMAGES:
        found.append(
            f"calibrated on {len(resolved.calibration)} images; fewer than {MIN_CALIBRATION_IMAGES} make the "
            "ranges a matter of luck"
        )
    shared = _shared(resolved.calibration, [image.file for image in resolved.images])
    if shared:
        found.append(
            f"{shared} of the calibration images are also scored (same content or same name): INT8 accuracy "
            "reads too high"
        )
    return found


def _shared(calibration: list[ArtifactRef], scored: list[ArtifactRef]) -> int:
    known = {image.sha256 for image in scored} | {image.name for image in scored if image.name}
    return sum(image.sha256 in known or image.name in known for image in calibration)


class RecipeBook:
    """Variants that were built before, by the ingredients that made them; beside the files of a store."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._folder = store.root / "recipes"

    def look_up(self, parts: dict[str, Any]) -> Variant | None:
        """Return the variant made of these parts, if its file is still in the store."""
        try:
            variant = msgspec.json.decode(self._page(parts).read_bytes(), type=Variant)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return variant if variant.file and self._store.has(variant.file.sha256) else None

    def note(self, parts: dict[str, Any], variant: Variant) -> None:
        """Remember a variant, atomically."""
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(variant))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(self._page(parts))

    def _page(self, parts: dict[str, Any]) -> Path:
        key = hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
        return self._folder / f"{key}.json"
