"""Raw outputs of each variant against FP32's on the first images: SQNR, cosine and the largest error.

Only sums are kept of what is compared. FP32's own outputs wait in the work folder meanwhile, for as many images as
a bound on their size allows. Whether detections agree is for the scoring to say.
"""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.agent.measure.journal import OutputSums
from edgedyno.agent.measure.signs import output_name
from edgedyno.core.result import Fidelity, OutputFidelity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedyno.agent.measure.journal import PassState
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.core.profile import InputSpec

    Output = NDArray[np.generic]
    Floats = NDArray[np.float64]

IMAGES = 16
MAX_BYTES = (
    64 * 2**20
)  # of FP32's outputs of one runtime: a board has them on its SD card for the length of a pass
NO_FP32 = "no FP32 variant is in this sweep on this board"
ITSELF = "it is FP32, which the others are compared with"


class Reference(NamedTuple):
    """FP32 on one runtime, by the key of its pass."""

    key: str
    cell: Cell

    @property
    def place(self) -> str:
        """Name it for people."""
        return f"FP32 on {self.cell.runtime} {self.cell.runtime_version or ''}".rstrip()


class References:
    """FP32's outputs of the first images, in a folder; those of one runtime for each reference."""

    def __init__(self, passes: Iterable[tuple[str, Cell]], model_input: InputSpec, folder: Path) -> None:
        self._folder = folder
        self._input = model_input
        self._all = _choose(passes)

    def is_one(self, key: str) -> bool:
        """Tell whether a pass is a reference for others."""
        return any(each.key == key for each in self._all)

    def for_cell(self, cell: Cell) -> list[Reference]:
        """Return what a variant can be compared with, its own runtime first."""
        return sorted(self._all, key=lambda each: each.cell.runtime != cell.runtime)

    def shows_alike(self, one: Cell, other: Cell) -> bool:
        """Tell whether two variants get the same part of an image at the same place of their input."""
        specs = (one.variant.input or self._input, other.variant.input or self._input)
        first, second = ((each.size, each.resize, each.crop, each.pad) for each in specs)
        return first == second

    def keep(self, key: str, index: int, outputs: Sequence[Output]) -> None:
        """Keep a reference's outputs of one image, where there is room."""
        if (index + 1) * sum(output.nbytes for output in outputs) > MAX_BYTES:
            return
        self._path(key, index).parent.mkdir(parents=True, exist_ok=True)
        with self._path(key, index).open("wb") as file:
            np.savez(file, *outputs)

    def read(self, key: str, index: int) -> list[Output] | None:
        """Return a reference's outputs of one image, None where they were not kept."""
        try:
            with np.load(self._path(key, index), allow_pickle=False) as kept:
                return [kept[name] for name in kept.files]
        except (OSError, ValueError, EOFError):
            return None

    def _path(self, key: str, index: int) -> Path:
        return self._folder / key / f"{index}.npz"

    def clear(self) -> None:
        """Remove all that was kept."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _choose(passes: Iterable[tuple[str, Cell]]) -> list[Reference]:
    """Choose one FP32 variant for each runtime: the one that is prepared as the model's profile says, and unnamed."""
    fp32 = [Reference(key, cell) for key, cell in passes if cell.variant.precision == "fp32"]
    fp32.sort(key=lambda each: (each.cell.variant.input is not None, each.cell.variant.name != ""))
    chosen: dict[tuple[str, str | None], Reference] = {}
    for each in fp32:
        chosen.setdefault((each.cell.runtime, each.cell.runtime_version), each)
    return sorted(chosen.values(), key=lambda each: each.cell.variant.format != "onnx")


def compare(
    state: PassState, index: int, outputs: Sequence[Output], references: References, cell: Cell
) -> None:
    """Add one image's outputs to the sums, against the first reference that they fit."""
    if state.sums_reason is not None or index >= IMAGES:
        return
    candidates = references.for_cell(cell)
    if state.sums_reference is not None:
        candidates = [each for each in candidates if each.key == state.sums_reference]
    reasons = []
    for each in candidates:
        theirs = references.read(each.key, index)
        if theirs is None:
            reasons.append(f"{each.place} has no outputs to compare with")
            continue
        if not references.shows_alike(each.cell, cell):
            reasons.append(f"{each.place} is shown images of another size or fit")
            continue
        matched = _match(theirs, outputs, same_runtime=each.cell.runtime == cell.runtime)
        if isinstance(matched, str):
            reasons.append(f"{each.place}: {matched}")
            continue
        state.sums_reference = each.key
        if all(np.isfinite(output).all() for output in (*theirs, *matched)):
            _add(state, theirs, matched)
        else:
            state.sums, state.sums_reason = [], "an output holds NaN or infinite values"
        return
    if state.sums_reference is None:
        state.sums_reason = "; ".join(reasons) or NO_FP32


def _match(theirs: Sequence[Output], ours: Sequence[Output], *, same_runtime: bool) -> list[Output] | str:
    """Return our outputs in the order of theirs, or why they are not the same quantities."""
    if any(output.dtype.kind != "f" for output in ours):
        return "an output holds integers, which stand for other values"
    found, expected = [each.shape for each in ours], [each.shape for each in theirs]
    if found == expected and (same_runtime or len(set(found)) == len(found)):
        return list(ours)
    if sorted(found) == sorted(expected) and len(set(found)) == len(found):
        return [ours[found.index(shape)] for shape in expected]
    if sorted(found) == sorted(expected):
        return f"outputs of one shape may come in another order ({_shapes(found)})"
    return f"found outputs {_shapes(found)}, expected {_shapes(expected)}"


def _shapes(shapes: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)


def _add(state: PassState, theirs: Sequence[Output], ours: Sequence[Output]) -> None:
    if not state.sums:
        state.sums = [OutputSums(output_name(index, output)) for index, output in enumerate(theirs)]
    for sums, reference, own in zip(state.sums, theirs, ours, strict=True):
        wanted, found = (each.astype(np.float64).reshape(-1) for each in (reference, own))
        error = found - wanted
        sums.reference += float(wanted @ wanted)
        sums.own += float(found @ found)
        sums.product += float(wanted @ found)
        sums.error += float(error @ error)
        sums.max_error = max(sums.max_error, float(np.abs(error).max(initial=0.0)))
    state.sums_images += 1


def fidelity(state: PassState, references: References, cell: Cell) -> tuple[Fidelity | None, str | None]:
    """Return what the sums come to, or why there is nothing to compare with."""
    if cell.variant.precision == "fp32":
        return None, ITSELF
    candidates = references.for_cell(cell)
    if not candidates:
        return None, NO_FP32
    chosen = next((each for each in candidates if each.key == state.sums_reference), candidates[0])
    return Fidelity(
        reference=chosen.place,
        outputs=[_summarize(sums) for sums in state.sums],
        outputs_images=state.sums_images,
        outputs_reason=None if state.sums else state.sums_reason or "no image could be shown",
    ), None


def _summarize(sums: OutputSums) -> OutputFidelity:
    norm = math.sqrt(sums.reference) * math.sqrt(sums.own)
    sqnr_db = None
    if sums.error > 0 and sums.reference > 0:
        sqnr_db = 10 * math.log10(sums.reference / sums.error)
    return OutputFidelity(sums.name, sqnr_db, sums.product / norm if norm > 0 else None, sums.max_error)
