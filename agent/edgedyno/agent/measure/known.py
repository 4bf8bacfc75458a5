"""The self-test of a loaded variant on the board: known images, shown as its profile says, before it is scored.

What a failure means is `core.vision.selftest`'s. FP32 goes first: what it makes of the images is kept in the work
folder, and the other variants of its runtime are compared with it, after a restart too.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgedyno.agent.measure.supervisor import TrialError
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.vision.image import read_pixels
from edgedyno.core.vision.selftest import InputTensor, Reading, Reference, Shown, examine, survey
from edgedyno.core.vision.selftest.sentences import Words
from edgedyno.core.vision.selftest.unlabelled import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Worker
    from edgedyno.core.manifest import Manifest, Variant
    from edgedyno.core.result import SelfTest
    from edgedyno.core.vision.decoders.base import Floats, Outputs
    from edgedyno.core.vision.selftest import Examined
    from edgedyno.core.vision.selftest.trying import Infer

_UNKNOWN = Words("image", "object that FP32 is sure of")
_log = logging.getLogger(__name__)


class SelfTests:
    """The self-tests of one execution."""

    def __init__(self, manifest: Manifest, files: Mapping[str, str], folder: Path) -> None:
        """Keep what FP32 sees in `folder`."""
        self._manifest = manifest
        self._files = files
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, cell: Cell, worker: Worker) -> tuple[SelfTest | None, str | None]:
        """Return the self-test of the variant that `worker` has loaded, or why there is none.

        Raises TrialError where the worker is gone.
        """
        gone: list[TrialError] = []

        def infer(tensor: Floats) -> Outputs:
            path = self._folder / "image.npy"
            np.save(path, tensor, allow_pickle=False)
            try:
                paths = worker.infer(path, self._folder, "output")
            except TrialError as error:
                gone.extend([] if worker.pid else [error])
                raise
            return [np.load(each, allow_pickle=False) for each in paths]

        try:
            examined = check(
                infer,
                cell.variant,
                self._manifest,
                self._files,
                reference=self._reference(cell),
                tensor=_tensor(worker),
            )
        except EdgedynoError as error:
            if gone:
                raise gone[0] from error
            return None, f"{error.code}: {error}"
        if gone:
            raise gone[0]
        if examined is None:
            return None, _no_test(self._manifest)
        if examined.reference is not None:
            self._keep(cell, examined.reference)
        if not examined.selftest.passed:
            _log.warning(
                "self-test of %s %s: %s", cell.runtime, cell.variant.precision, examined.selftest.text
            )
        return examined.selftest, None

    def _reference(self, cell: Cell) -> Reference | None:
        """Return what FP32 made of it: on the variant's runtime, else on another."""
        if cell.variant.precision == "fp32":
            return None
        own = self._folder / f"{cell.runtime}.json"
        for path in (own, *sorted(self._folder.glob("*.json"))):
            try:
                return msgspec.json.decode(path.read_bytes(), type=Reference)
            except (OSError, msgspec.MsgspecError):
                continue
        return None

    def _keep(self, cell: Cell, reference: Reference) -> None:
        path = self._folder / f"{cell.runtime}.json"
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(reference))
            part.replace(path)


def check(
    infer: Infer,
    variant: Variant,
    manifest: Manifest,
    files: Mapping[str, str],
    *,
    reference: Reference | None = None,
    tensor: InputTensor | None = None,
) -> Examined | None:
    """Examine a variant on the manifest's known images; without them on what FP32 is sure to see in the data set.

    None where there is neither. Raises ConfigError for an image that is not there or cannot be used.
    """
    strict = variant.precision == "fp32"
    model = manifest.model
    reading = Reading(model.task, variant.input or model.input, variant.output or model.output)
    if manifest.known:
        shown = [
            Shown(each.file.name or each.file.sha256[:12], _read(files, each.file.sha256), each.expect)
            for each in manifest.known
        ]
        return examine(
            infer, reading, shown, reference=reference, strict=strict, tensor=tensor, names=_names(manifest)
        )
    if strict:
        images = _usable(manifest, files, [image.file.sha256 for image in manifest.images[:IMAGES]])
        return survey(infer, reading, images, tensor=tensor) if images else None
    if reference is None or not reference.expect:
        return None
    shown = [
        each._replace(expect=reference.expect[each.name])
        for each in _usable(manifest, files, reference.expect)
    ]
    return examine(infer, reading, shown, reference=reference, strict=False, tensor=tensor, words=_UNKNOWN)


def _no_test(manifest: Manifest) -> str:
    """Say why there is nothing to show the variant."""
    left = (
        "those that its profile names were not found" if manifest.model.selftest else "its profile names none"
    )
    return f"no known images ({left}), and no FP32 on the data set's images to be compared with"


def _usable(manifest: Manifest, files: Mapping[str, str], wanted: Iterable[str]) -> list[Shown]:
    """Return those of the data set's images that can be used; they go by their sha256."""
    there = {image.file.sha256 for image in manifest.images}
    shown = [Shown(sha256, _read(files, sha256)) for sha256 in wanted if sha256 in there and sha256 in files]
    return [each for each in shown if _decodes(each.data)]


def _decodes(data: bytes) -> bool:
    try:
        read_pixels(data)
    except ConfigError:
        return False
    return True


def _read(files: Mapping[str, str], sha256: str) -> bytes:
    try:
        return Path(files[sha256]).read_bytes()
    except (KeyError, OSError) as error:
        raise ConfigError(f"found no file for the known image {sha256}", code="selftest.image") from error


def _names(manifest: Manifest) -> list[str]:
    """Return the classes' names as far as the manifest has them."""
    classes = manifest.model.classes
    if isinstance(classes, list):
        return classes
    known = {each.class_index: each.name for one in manifest.known for each in one.expect}
    return [known.get(index, f"class {index}") for index in range(max(known, default=-1) + 1)]


def _tensor(worker: Worker) -> InputTensor | None:
    """Return the model's one input as its file declares it."""
    if len(worker.inputs) != 1:
        return None
    declared = worker.inputs[0]
    return InputTensor(str(declared["dtype"]), declared.get("scale"), declared.get("zero_point"))
