"""Build the variants of a job, each in a process of its own, or take them from the recipe book."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.variants.recipe import RecipeBook, ingredients, warnings
from edgedyno.controller.lab.variants.request import (
    BuildAnswer,
    BuildRequest,
    CalibrationImage,
    decode_answer,
)
from edgedyno.core.manifest import Failure, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import Precision
    from edgedyno.core.manifest import ResolvedJob

FORMAT = "onnx"
# The slowest build seen took 17 s (entropy calibration of YOLOX-nano); large models take minutes.
TIMEOUT_SECONDS = 1800.0


def build_variants(
    resolved: ResolvedJob,
    *,
    store: ContentStore,
    precisions: Sequence[Precision],
    reduce_range: bool,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Variant]:
    """Return one variant for each precision; one that cannot be built carries its failure.

    It blocks for as long as the building takes; what was built before comes from the store at once.
    """
    return [
        _build_one(resolved, precision, store, reduce_range=reduce_range, timeout_seconds=timeout_seconds)
        for precision in dict.fromkeys(precisions)
    ]


def _build_one(
    resolved: ResolvedJob,
    precision: Precision,
    store: ContentStore,
    *,
    reduce_range: bool,
    timeout_seconds: float,
) -> Variant:
    parts = ingredients(resolved, precision, reduce_range=reduce_range)
    if precision == "fp32":
        return Variant(precision, FORMAT, resolved.source, {**parts, "method": "the source itself"})
    book = RecipeBook(store)
    variant = book.look_up(parts)
    if variant is None:
        variant = _build_new(resolved, precision, store, parts, timeout_seconds)
        if variant.file is not None:
            book.note(parts, variant)
    found = warnings(resolved, precision)
    recipe = {**variant.recipe, "warnings": found} if found else variant.recipe
    return msgspec.structs.replace(variant, recipe=recipe)


def _build_new(
    resolved: ResolvedJob,
    precision: Precision,
    store: ContentStore,
    parts: dict[str, Any],
    timeout_seconds: float,
) -> Variant:
    with tempfile.TemporaryDirectory(prefix="edgedyno-variant-") as name:
        folder = Path(name)
        target = folder / f"{resolved.model.name}-{precision}.onnx"
        request = BuildRequest(
            precision=precision,
            model=resolved.model,
            source=str(store.path(resolved.source.sha256)),
            target=str(target),
            answer=str(folder / "answer.json"),
            calibration=[
                CalibrationImage(str(store.path(image.sha256)), image.name) for image in resolved.calibration
            ],
            reduce_range=bool(parts.get("reduce_range")),
        )
        started = time.monotonic()
        answer = _run(request, folder, timeout_seconds)
        recipe = {**parts, **answer.details, "build_seconds": round(time.monotonic() - started, 2)}
        if answer.failure is not None:
            return Variant(precision, FORMAT, recipe=parts, failure=answer.failure)
        return Variant(precision, FORMAT, store.add_file(target), recipe)


def _run(request: BuildRequest, folder: Path, timeout_seconds: float) -> BuildAnswer:
    """Run the building process; its death is an answer too."""
    page = folder / "request.json"
    page.write_bytes(msgspec.json.encode(request))
    command = [sys.executable, "-m", "edgedyno.controller.lab.variants", str(page)]
    # ONNX Runtime reads its telemetry switch when it is imported.
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        text = f"the build was ended after {timeout_seconds:g} s"
        return BuildAnswer(failure=Failure("variant.timeout", text))
    answer = Path(request.answer)
    if done.returncode == 0 and answer.is_file():
        return decode_answer(answer.read_bytes())
    return BuildAnswer(failure=Failure("variant.crashed", _how_it_died(done)))


def _how_it_died(done: subprocess.CompletedProcess[bytes]) -> str:
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    if done.returncode >= 0:
        return f"the build ended with status {done.returncode}: {''.join(last) or 'it said nothing'}"
    name = signal.Signals(-done.returncode).name
    hint = " (often: out of memory)" if name == "SIGKILL" else ""
    return f"the build was killed by {name}{hint}{': ' if last else ''}{''.join(last)}"
