"""What files score through the board's own accuracy pass: workers, preparation, decoding and all."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.agent.measure.accuracy import pass_key, run_passes
from edgedyno.agent.measure.inputs import noise
from edgedyno.agent.measure.journal import Journal
from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import packaged
from edgedyno.controller.lab.scoring import score
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Image, Manifest
from edgedyno.core.predictions import read_predictions
from tests.conformance.findings import note
from tests.conformance.here import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.core.job import Precision
    from edgedyno.core.manifest import Variant
    from edgedyno.core.profile import ModelProfile
    from tests.conformance.here import Workshop


def scores(
    workshop: Workshop,
    folder: Path,
    profile: ModelProfile,
    variant: Variant,
    runtimes: Sequence[str],
    images: Sequence[tuple[int, Path]],
    annotations: bytes,
    on: str,
) -> dict[str, float]:
    """Return the score of one file on each runtime; one preparation serves all of them. `on` names the images."""
    references = [Image(number, workshop.store.add_file(path)) for number, path in images]
    manifest = Manifest("job", "job.here", profile, [variant], Sweep(), Measure(), images=references)
    cells = {name: workshop.cell(variant, runtime(name)) for name in runtimes}
    files = {image.file.sha256: str(workshop.store.path(image.file.sha256)) for image in references}
    journal = Journal(folder / "work")
    latency_input = folder / "latency.npy"
    np.save(latency_input, noise(profile.input))
    run_passes(
        cells.values(),
        manifest=manifest,
        launch=workshop.launch(variant, files=files),
        journal=journal,
        latency_input=latency_input,
        stop=threading.Event(),
        between=lambda _done, _total: None,
    )
    names = class_names(profile.classes, base=packaged("models"))
    found = {}
    for name, cell in cells.items():
        log = journal.accuracy_pass(pass_key(cell))
        assert log is not None
        assert log.predictions_sha256 is not None, f"{name}: {log.reason}"
        data = (journal.artifacts / log.predictions_sha256).read_bytes()
        predictions = read_predictions(data)
        scored = score(
            predictions, annotations=annotations, class_names=names, baseline=None, task=profile.task
        )
        found[name] = scored.accuracy.value
        ran = log.effective_precision or log.effective_precision_reason
        note(profile.name, cell, score=scored.accuracy.value, on=on, ran=ran)
    return found


def sample_score(workshop: Workshop, folder: Path, model: str, name: str, precision: Precision) -> float:
    """Return what a variant that is built here scores on the 17 images of the sample."""
    resolved = workshop.resolved(model)
    built = workshop.build(model, name, precision)
    images = [(image.id, workshop.store.path(image.file.sha256)) for image in resolved.images]
    assert resolved.annotations is not None
    labels = workshop.store.path(resolved.annotations.sha256).read_bytes()
    on = f"{len(images)} sample images"
    return scores(workshop, folder, resolved.model, built.variant, [name], images, labels, on)[name]
