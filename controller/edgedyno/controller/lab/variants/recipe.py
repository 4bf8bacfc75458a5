"""How a variant is made, as data: the key under which it is kept, and what is worth a warning."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.variants.foreign import builder_sha256
from edgedyno.controller.lab.variants.formats import FOREIGN, ONNX
from edgedyno.core.manifest import Variant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import Precision
    from edgedyno.core.manifest import ArtifactRef, ResolvedJob

# Counts up when the same inputs would give another file.
RECIPE_VERSION = 2
MIN_CALIBRATION_IMAGES = 32
# Noise with half the signal's power. FastestDet keeps its accuracy in INT8 at 5.7 dB; what detects nothing has -4.
HOPELESS_DB = 3.0
_ONNX_TOOLS = {
    "fp32": (),
    "fp16": ("onnx", "onnxconverter-common", "numpy"),
    "int8": ("onnx", "onnxruntime", "numpy", "opencv-python-headless"),
}


def onnx_versions(precision: Precision) -> dict[str, str]:
    """Return the versions of the packages beside us that decide an ONNX variant."""
    return {tool: version(tool) for tool in _ONNX_TOOLS[precision]}


def ingredients(
    resolved: ResolvedJob, name: str, precision: Precision, *, tools: dict[str, str], reduce_range: bool
) -> dict[str, Any]:
    """Return everything that decides what the variant's file of format `name` is."""
    common: dict[str, Any] = {
        "recipe_version": RECIPE_VERSION,
        "format": name,
        "precision": precision,
        "source_sha256": resolved.source.sha256,
        "tools": tools,
    }
    if name != ONNX:
        common |= {"builder_sha256": builder_sha256(name), "input": _plain(resolved.model.input)}
    if precision != "int8":
        return common
    if name == ONNX or FOREIGN[name].heeds_reduce_range:
        common["reduce_range"] = reduce_range
    return {
        **common,
        "input": _plain(resolved.model.input),
        "quantize": _plain(resolved.model.quantize),
        "calibration_sha256": [image.sha256 for image in resolved.calibration],
        **(_searched(resolved) if name == ONNX else {}),
    }


def _searched(resolved: ResolvedJob) -> dict[str, Any]:
    """Return what decides a search besides: the images that it compares on, and how they are scored."""
    if resolved.model.quantize.accuracy_control is None:
        return {}
    return {
        "output": _plain(resolved.model.output),
        "evaluation_sha256": [image.file.sha256 for image in resolved.images] if resolved.annotations else [],
        "annotations_sha256": resolved.annotations.sha256 if resolved.annotations else None,
    }


def _plain(value: msgspec.Struct) -> Any:
    """Return the value as it comes back from JSON, so that a recipe equals itself after a journey."""
    return msgspec.json.decode(msgspec.json.encode(value))


def warnings(
    resolved: ResolvedJob, name: str, precision: Precision, details: Mapping[str, Any] | None = None
) -> list[str]:
    """Return what a reader of the accuracy has to know about the calibration, of every format alike.

    `details` are the builder's: it says how near the variant came.
    """
    quantize = resolved.model.quantize
    if precision != "int8":
        return []
    found = _on_nearness(details or {})
    is_dynamic = name == ONNX and quantize.scheme == "dynamic"
    if resolved.calibration and not is_dynamic:
        found += _on_calibration(resolved)
    if name == ONNX and quantize.accuracy_control is not None:
        found.append(_on_search(resolved))
    return found


def _on_nearness(details: Mapping[str, Any]) -> list[str]:
    decibels = details.get("output_sqnr_db")
    if decibels is None or decibels >= HOPELESS_DB:
        return []
    text = (
        f"its outputs on the calibration images are {decibels:.1f} dB from FP32's, below {HOPELESS_DB:.0f} mostly "
        "noise: expect no accuracy of it; leave more in float (`quantize.exclude`) or take another format"
    )
    return [text]


def _on_calibration(resolved: ResolvedJob) -> list[str]:
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


def _on_search(resolved: ResolvedJob) -> str:
    if resolved.images and resolved.annotations:
        return (
            f"what stays in float was searched on the {len(resolved.images)} images that are scored: INT8 "
            "accuracy on them reads too high; score on others before trusting it"
        )
    return (
        "what stays in float was searched without labels, by agreement with FP32 on the calibration images: "
        "the drop that counts is only known once labelled images are scored"
    )


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
