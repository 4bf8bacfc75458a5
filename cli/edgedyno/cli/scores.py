"""Score variants here and now: the agent's own accuracy pass in a runtime of each one's format, then the lab."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.environments import find_plugins
from edgedyno.agent.measure.accuracy import pass_key, run_passes
from edgedyno.agent.measure.inputs import write_latency_input
from edgedyno.agent.measure.journal import Journal
from edgedyno.agent.measure.planner import Cell, plan
from edgedyno.agent.measure.supervisor import Launch
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Manifest
from edgedyno.core.predictions import read_predictions
from edgedyno.core.result import Accuracy, Drop

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.board import Capabilities
    from edgedyno.core.manifest import ResolvedJob, Variant
    from edgedyno.core.run import Environment


class Scored(Struct, frozen=True, omit_defaults=True):
    """What a variant scored, or why it did not."""

    accuracy: Accuracy | None = None
    drop: Drop | None = None
    """Against the FP32 ONNX variant on the same images."""
    drop_reason: str | None = None
    runtime: str | None = None
    runtime_version: str | None = None
    effective_precision: str | None = None
    reason: str | None = None

    def place(self) -> str | None:
        """Name the runtime and what really ran."""
        if self.runtime is None:
            return None
        ran = f", ran {self.effective_precision}" if self.effective_precision else ""
        return f"{self.runtime} {self.runtime_version or ''}".rstrip() + ran


def score_variants(
    resolved: ResolvedJob,
    variants: Sequence[Variant],
    *,
    store: ContentStore,
    environments: list[Environment],
    work: Path,
    between: Callable[[int, int], None],
) -> list[Scored]:
    """Return a score for each variant; images done and to do are told on the way."""
    capabilities = read_capabilities(environments=environments)
    journal = Journal(work)
    cells = [_cell(resolved, variant, capabilities) for variant in variants]
    chosen = [cell for cell in cells if isinstance(cell, Cell)]
    manifest = _manifest(resolved, [cell.variant for cell in chosen])
    files = _files(resolved, variants, store)
    latency_input = work / "input.npy"
    write_latency_input(manifest, files, latency_input)
    launch = Launch(
        pythons={"default": sys.executable, **{each.name: each.python for each in environments}},
        plugins={plugin.name: plugin for plugin in find_plugins()},
        files=files,
        scratch=str(journal.scratch),
        memory_bytes=None,
    )
    run_passes(
        chosen,
        manifest=manifest,
        launch=launch,
        journal=journal,
        latency_input=latency_input,
        stop=threading.Event(),
        between=between,
    )
    return _score_all(resolved, cells, journal, store)


def _manifest(resolved: ResolvedJob, variants: Sequence[Variant]) -> Manifest:
    precisions = list(dict.fromkeys(variant.precision for variant in variants)) or ["fp32"]
    return Manifest(
        job="build",
        execution="build",
        model=resolved.model,
        variants=list(variants),
        sweep=Sweep(precisions=precisions, threads=["all"]),
        measure=Measure(),
        images=resolved.images,
        known=resolved.known,
    )


def _files(resolved: ResolvedJob, variants: Sequence[Variant], store: ContentStore) -> dict[str, str]:
    wanted = [variant.file for variant in variants if variant.file]
    wanted += [image.file for image in resolved.images]
    wanted += [each.file for each in resolved.known]
    return {file.sha256: str(store.path(file.sha256)) for file in wanted}


def _cell(resolved: ResolvedJob, variant: Variant, capabilities: Capabilities) -> Cell | str:
    """Return where to run a variant: the first runtime here that loads it; or why there is none."""
    if variant.file is None:
        return "there is no file"
    planned = plan(_manifest(resolved, [variant]), capabilities)
    if planned.trials:
        return planned.trials[0]
    reasons = [cell.failure.text for cell in planned.skipped if cell.failure and cell.runtime != "none"]
    return reasons[0] if reasons else f"no runtime here loads {variant.format} (see `edgedyno agent doctor`)"


def _score_all(
    resolved: ResolvedJob, cells: Sequence[Cell | str], journal: Journal, store: ContentStore
) -> list[Scored]:
    # Scoring brings large libraries.
    from edgedyno.controller.lab.scoring import Score, score_set

    read = {}
    for cell in cells:
        if isinstance(cell, Cell) and (path := _predictions(cell, journal)) is not None:
            read[cell.trial] = read_predictions(path.read_bytes())
    annotations = store.read(resolved.annotations.sha256) if resolved.annotations else b""
    reference = next((one.trial for one in cells if isinstance(one, Cell) and _is_reference(one, read)), None)
    found = score_set(
        read,
        annotations=annotations,
        class_names=resolved.class_names,
        reference=reference,
        task=resolved.model.task,
    )

    def told(cell: Cell) -> Scored:
        log, score = journal.accuracy_pass(pass_key(cell)), found.get(cell.trial)
        place = Scored(runtime=cell.runtime, runtime_version=cell.runtime_version)
        if log is None or score is None:
            return msgspec.structs.replace(place, reason=(log and log.reason) or "the pass ended early")
        if not isinstance(score, Score):
            return msgspec.structs.replace(place, reason=str(score))
        return msgspec.structs.replace(
            place,
            accuracy=score.accuracy,
            drop=score.drop,
            drop_reason=score.drop_reason,
            effective_precision=log.effective_precision,
        )

    return [Scored(reason=cell) if isinstance(cell, str) else told(cell) for cell in cells]


def _is_reference(cell: Cell, read: Container[str]) -> bool:
    return (cell.variant.format, cell.variant.precision) == ("onnx", "fp32") and cell.trial in read


def _predictions(cell: Cell, journal: Journal) -> Path | None:
    log = journal.accuracy_pass(pass_key(cell))
    if log is None or log.predictions_sha256 is None:
        return None
    return journal.artifacts / log.predictions_sha256
