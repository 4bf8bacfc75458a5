"""INT8 files that are fast and wrong never win: real files, real predictions, real scores, and the verdict on them.

Latencies alone are synthetic, so that a busy machine cannot void what is asked here: they are written down with the
wrong file as the fastest.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import pytest

from edgedyno.agent.measure.accuracy import pass_key, run_passes
from edgedyno.agent.measure.inputs import noise
from edgedyno.agent.measure.journal import Journal
from edgedyno.controller.lab.profiles import find_profile
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.scoring import score_results
from edgedyno.controller.lab.variants import build_variants
from edgedyno.controller.lab.verdict import Verdict, judge, verdict_lines
from edgedyno.core.job import JobSpec, Measure, Require, Sweep
from edgedyno.core.manifest import Manifest, Variant
from edgedyno.core.profile import DatasetProfile, ModelProfile, QuantizeSpec
from tests.conformance.here import runtime
from tests.controller.synthetic import Lab, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Result
    from tests.conformance.here import Workshop

pytestmark = [pytest.mark.zoo, pytest.mark.long, pytest.mark.timeout(1200)]


class Run(NamedTuple):
    """A variant, where it predicts, and the latency that it is given."""

    variant: Variant
    runtime: str
    latency_seconds: float


def resolved_of(
    workshop: Workshop, zoo: Path, folder: Path, profile: ModelProfile, require: Require
) -> ResolvedJob:
    """Return a job on the zoo's 140 labelled images."""
    data = zoo / "data"
    dataset = DatasetProfile(
        "coco_val_140",
        "detect",
        images=str(data / "coco_val_140/images"),
        annotations=str(data / "coco_val_140/instances.json"),
        calibration=str(data / "coco_calib_40/images"),
    )
    spec = JobSpec(name="collapse", model=profile, dataset=dataset, require=require)
    return resolve_job(spec, base=folder, store=workshop.store)


def judged(
    workshop: Workshop, folder: Path, resolved: ResolvedJob, runs: list[Run]
) -> tuple[list[Result], Verdict]:
    """Predict with each variant on all images, score and judge."""
    cells = [workshop.cell(run.variant, runtime(run.runtime)) for run in runs]
    files = {image.file.sha256: str(workshop.store.path(image.file.sha256)) for image in resolved.images}
    journal = Journal(folder / "work")
    latency_input = folder / "latency.npy"
    np.save(latency_input, noise(resolved.model.input))
    variants = [run.variant for run in runs]
    run_passes(
        cells,
        manifest=Manifest(
            "job", "job.here", resolved.model, variants, Sweep(), Measure(), images=resolved.images
        ),
        launch=workshop.launch(*variants, files=files),
        journal=journal,
        latency_input=latency_input,
        stop=threading.Event(),
        between=lambda _done, _total: None,
    )
    logs = [journal.accuracy_pass(pass_key(cell)) for cell in cells]
    trials = [
        Trial(
            run.variant.precision,
            1,
            run.latency_seconds,
            more={
                "runtime": run.runtime,
                "runtime_version": cell.runtime_version,
                "format": run.variant.format,
                "variant": run.variant.name,
                "recipe": run.variant.name,
                "predictions_sha256": log.predictions_sha256 if log else None,
            },
        )
        for run, cell, log in zip(runs, cells, logs, strict=True)
    ]
    lab = Lab()
    results = [
        msgspec.structs.replace(result, variant_sha256=run.variant.file and run.variant.file.sha256)
        for result, run in zip(lab.results(*trials, model=resolved.model.name), runs, strict=True)
    ]

    def read(sha256: str) -> bytes:
        if sha256 in lab.artifacts:
            return lab.artifacts[sha256]
        kept = journal.artifacts / sha256
        return kept.read_bytes() if kept.exists() else workshop.store.read(sha256)

    scored = score_results(results, read=read, resolved=resolved)
    (verdict,) = judge(scored, spec=resolved.spec, read=lab.read)
    return scored, verdict


def test_the_public_int8_yolox_is_rejected_with_its_collapse_named(
    workshop: Workshop, zoo: Path, tmp_path: Path
) -> None:
    profile = find_profile("yolox_nano", ModelProfile, base=tmp_path).profile
    profile = msgspec.structs.replace(
        profile, source=str(zoo / "models/yolox_nano/yolox_nano_416_fp32.onnx"), selftest=[]
    )
    resolved = resolved_of(workshop, zoo, tmp_path, profile, Require(latency_p50=0.1))
    fp32 = Variant("fp32", "onnx", resolved.source)
    path = zoo / "models/yolox_nano/yolox_nano_416_int8_floatio.tflite"
    int8 = Variant("int8", "tflite", workshop.store.add_file(path))
    runs = [Run(fp32, "onnxruntime", 0.025), Run(int8, "litert", 0.008)]
    (good, bad), verdict = judged(workshop, tmp_path, resolved, runs)
    assert good.accuracy is not None
    assert good.accuracy.value == pytest.approx(0.333, abs=0.005)
    assert bad.accuracy is not None
    assert bad.accuracy.value < 0.06
    assert bad.accuracy_drop is not None
    assert bad.accuracy_drop.low is not None
    assert bad.accuracy_drop.low > 0.2
    assert bad.fidelity is not None
    assert bad.fidelity.agreement is not None
    assert bad.fidelity.agreement.matched.value < 0.5
    statuses = {choice.precision: choice.status for choice in verdict.choices}
    assert statuses == {"fp32": "recommended", "int8": "rejected"}
    assert "accuracy collapsed" in " ".join(" ".join(verdict_lines(verdict)).split())


def test_int8_of_every_node_of_yolov5_loses_and_without_the_tail_it_wins(
    workshop: Workshop, zoo: Path, tmp_path: Path
) -> None:
    profile = find_profile("yolov5", ModelProfile, base=tmp_path).profile
    tail = profile.quantize.exclude
    profile = msgspec.structs.replace(
        profile,
        name="yolov5n_tail",
        source=str(zoo / "models/yolov5n/yolov5n_416_fp32.onnx"),
        input=msgspec.structs.replace(profile.input, size=(416, 416)),
        quantize=QuantizeSpec(),
        recipes={"tail_in_float": QuantizeSpec(exclude=tail)},
        selftest=[],
    )
    resolved = resolved_of(workshop, zoo, tmp_path, profile, Require(accuracy_drop=0.06))
    variants = build_variants(resolved, store=workshop.store, precisions=["fp32", "int8"], reduce_range=True)
    seconds = {"fp32": 0.03, "int8": 0.015}
    runs = [Run(one, "onnxruntime", 0.02 if one.name else seconds[one.precision]) for one in variants]
    results, verdict = judged(workshop, tmp_path, resolved, runs)
    values = {(one.precision, one.variant): one.accuracy.value for one in results if one.accuracy}
    assert values["fp32", ""] == pytest.approx(0.3035, abs=0.005)
    assert values["int8", ""] < 0.06
    assert 0.26 < values["int8", "tail_in_float"] < 0.31
    status = {choice.trial: choice.status for choice in verdict.choices}
    assert {one.variant: status[one.trial] for one in results if one.precision == "int8"} == {
        "": "rejected",
        "tail_in_float": "recommended",
    }
