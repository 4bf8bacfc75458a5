"""The user's own variants: checked by content, bundled where their format has two files, put into the store."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.inspection import Trip, identify, inspect_file
from edgedyno.controller.lab.inspection.kind import words
from edgedyno.controller.lab.variants.formats import FORMATS
from edgedyno.controller.lab.variants.tools.toolkit import write_bundle
from edgedyno.core.errors import ConfigError, UnsupportedError
from edgedyno.core.manifest import Failure, Variant

if TYPE_CHECKING:
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.controller.lab.inspection import Inspection, Kind, Tensor
    from edgedyno.core.manifest import ArtifactRef
    from edgedyno.core.profile import InputSpec, ModelProfile, Prebuilt

# The file beside the one with the graph, and what both are called in a bundle.
_PARTS = {"ncnn": ("model.param", "model.bin"), "openvino": ("model.xml", "model.bin")}
_METHOD = {"method": "brought by its user"}


def resolve_prebuilt(profile: ModelProfile, *, base: Path, store: ContentStore) -> list[Variant]:
    """Check the profile's own variants and put them into the store; their paths are relative to `base`.

    A file that is no good carries its failure, and the others go on. Raises ConfigError where a file is not there
    (model.missing) or two are not told apart (prebuilt.twice); UnsupportedError (prebuilt.unsupported) where it
    has a format that nothing here runs.
    """
    found = [
        _take(each, f"variants[{number}] of {profile.name!r}", profile, base, store)
        for number, each in enumerate(profile.variants)
    ]
    seen: set[tuple[str, str, str]] = set()
    for variant in found:
        key = (variant.format, variant.precision, variant.name)
        if key in seen:
            raise ConfigError(
                f"variants of {profile.name!r}: found two of format {key[0]}, precision {key[1]} and name "
                f"{key[2]!r}; give one of them another `name`",
                code="prebuilt.twice",
            )
        seen.add(key)
    return found


def _take(brought: Prebuilt, where: str, profile: ModelProfile, base: Path, store: ContentStore) -> Variant:
    """Return the variant, or why its file cannot be used."""
    kind = identify(base / brought.file)
    try:
        return _resolve(brought, where, profile, base, store)
    except ConfigError as error:
        # The format that its user believes it to have: by its content it might take another's place.
        meant = brought.format or kind.named or kind.format
        if meant not in FORMATS:
            raise
        failure = Failure(error.code, str(error))
        return Variant(brought.precision, meant, recipe=dict(_METHOD), name=brought.name, failure=failure)


def _resolve(
    brought: Prebuilt, where: str, profile: ModelProfile, base: Path, store: ContentStore
) -> Variant:
    path = base / brought.file
    kind = identify(path)
    _check_format(brought, kind, path, where)
    inspection = inspect_file(path)
    for trip in inspection.trips:
        if trip.severity == "error":
            raise ConfigError(f"{where}: {path}: {trip.text}", code=_code_of(trip.code))
    spec = _fitting_input(brought, inspection, profile, path, where)
    file, hashes = _store(path, kind.format, store)
    recipe: dict[str, Any] = {**_METHOD, "files": hashes}
    if inspection.quantization not in (None, "none"):
        recipe["quantization"] = inspection.quantization
    found = [trip.text for trip in inspection.trips]
    if inspection.precision not in (None, "mixed", brought.precision):
        found.append(
            f"its profile says {brought.precision}, and most of its weights are {inspection.precision}: what "
            "really runs is told by the effective precision"
        )
    if found:
        recipe["warnings"] = found
    return Variant(
        precision=brought.precision,
        format=kind.format,
        file=file,
        recipe=recipe,
        name=brought.name,
        input=spec,
        output=brought.output,
    )


def _code_of(trip: str) -> str:
    return trip if trip.startswith("model.") else "prebuilt.unusable"


def _check_format(brought: Prebuilt, kind: Kind, path: Path, where: str) -> None:
    """Refuse a file of another format than its name or its profile says, and one that nothing runs."""
    if kind.lies and kind.named is not None:
        raise ConfigError(
            f"{where}: {path} is named as {words(kind.named)}; found {words(kind.format)} in it: rename it, "
            "or name the file that you meant",
            code="prebuilt.format",
        )
    if brought.format not in (None, kind.format):
        raise ConfigError(
            f"{where}: {path}: found {words(kind.format)}, expected {words(str(brought.format))} as `format` says",
            code="prebuilt.format",
        )
    if kind.format not in FORMATS:
        trips = inspect_file(path).trips
        raise UnsupportedError(
            f"{where}: {path}: found {trips[0].text if trips else words(kind.format)}; expected one of "
            f"{', '.join(FORMATS)}",
            code="prebuilt.unsupported",
        )


def _fitting_input(
    brought: Prebuilt, inspection: Inspection, profile: ModelProfile, path: Path, where: str
) -> InputSpec | None:
    """Return how the variant's input differs from the model's, as told; its layout is the worker's to see to."""
    spec = brought.input or profile.input
    trip = input_trip(inspection, spec)
    if trip is None or trip.severity == "warning":
        return brought.input
    raise ConfigError(
        f"{where}: {path}: {trip.text}: say how this file's input is with `input:`", code="prebuilt.input"
    )


def input_trip(inspection: Inspection, spec: InputSpec) -> Trip | None:
    """Say how a file's input differs from what a profile says; a layout alone is a warning. None: it fits."""
    tensor = next(iter(inspection.inputs), None)
    if tensor is None or tensor.shape is None or _fits(tensor, spec):
        return None
    found = f"found the input {tensor.name!r} of {tensor.dtype} {tensor.shape}, expected {_shape(spec)}"
    if _fits(tensor, _turned(spec)):
        text = f"{found}: its layout is {_turned(spec).layout}, the profile's is {spec.layout}"
        return Trip("input.layout", text + " (edgedyno turns it)")
    return Trip("input.shape", f"{found} ({spec.layout}, size {list(spec.size)})", "error")


def _turned(spec: InputSpec) -> InputSpec:
    return msgspec.structs.replace(spec, layout="NHWC" if spec.layout == "NCHW" else "NCHW")


def _shape(spec: InputSpec) -> list[int]:
    height, width = spec.size
    return [1, 3, height, width] if spec.layout == "NCHW" else [1, height, width, 3]


def _fits(tensor: Tensor, spec: InputSpec) -> bool:
    found, wanted = tensor.shape or [], _shape(spec)
    return len(found) == len(wanted) and all(
        side in (None, want) for side, want in zip(found, wanted, strict=True)
    )


def _store(path: Path, name: str, store: ContentStore) -> tuple[ArtifactRef, dict[str, str]]:
    """Put the file, or the bundle of its two, into the store; return it and the hash of each file."""
    if name not in _PARTS or zipfile.is_zipfile(path):
        return store.add_file(path), {path.name: _sha256(path)}
    graph, weights = _PARTS[name]
    binary = path.with_suffix(".bin")
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / f"{path.stem}.{name}.zip"
        write_bundle(str(bundle), {graph: str(path), weights: str(binary)})
        return store.add_file(bundle), {part.name: _sha256(part) for part in (path, binary)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
