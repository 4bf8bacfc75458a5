"""A real run of the bundled FastestDet, judged and reported: honest however noisy the machine is."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.environments import default_environments
from edgedyno.agent.measure.runner import run
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.report import Section, render_report
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.scoring import score_results
from edgedyno.controller.lab.variants import build_variants
from edgedyno.controller.lab.verdict import judge, meets_requirements, verdict_lines
from edgedyno.core.job import JobSpec, Measure, Require, Sweep
from edgedyno.core.manifest import Manifest, ResolvedJob
from edgedyno.core.run import Event, Finished, RunRequest

if TYPE_CHECKING:
    from edgedyno.core.result import Result

SPEC = JobSpec(
    name="fastestdet",
    model="fastestdet",
    dataset="coco_ccby",
    sweep=Sweep(runtimes=["onnxruntime"], precisions=["fp32", "int8"], threads=[1]),
    measure=Measure(precision=0.05, max_seconds=4.0),
    require=Require(accuracy_drop=0.05),
)

NUMBER = r"-?\d+(?:\.\d+)?"


def _run(resolved: ResolvedJob, store: ContentStore, folder: Path) -> list[Result]:
    variants = build_variants(resolved, store=store, precisions=SPEC.sweep.precisions, reduce_range=True)
    manifest = Manifest(
        job="fastestdet-0a1b2c",
        execution="fastestdet-0a1b2c.here",
        model=resolved.model,
        variants=variants,
        sweep=SPEC.sweep,
        measure=SPEC.measure,
        images=resolved.images,
    )
    files = [variant.file for variant in variants if variant.file] + [image.file for image in resolved.images]
    environments = default_environments()
    request = RunRequest(
        manifest=manifest,
        board="here",
        attempt=1,
        capabilities=read_capabilities(environments=environments),
        files={file.sha256: str(store.path(file.sha256)) for file in files},
        work_dir=str(folder),
        environments=environments,
    )
    results: list[Result] = []

    def emit(event: Event) -> None:
        if isinstance(event, Finished):
            results.append(event.record)
            for path in event.files.values():
                store.add_file(Path(path))

    run(request, emit, threading.Event())
    return results


def _spans(headline: str, reason: str) -> list[tuple[float, float, float]] | None:
    """Return each number of a reason with the span that the headline has in its place; None where it tells another."""
    words = map(re.escape, re.split(NUMBER, reason))
    told = re.search(f"({NUMBER})(?: to ({NUMBER}))?".join(words), headline)
    if told is None:
        return None
    lows, highs = told.groups()[::2], told.groups()[1::2]
    numbers = re.findall(NUMBER, reason)
    return [
        (float(low), float(number), float(high or low))
        for low, number, high in zip(lows, numbers, highs, strict=True)
    ]


def test_a_reason_is_found_by_its_words_and_checked_by_its_numbers() -> None:
    told = "Most often: drifted by -17 to -12% (bound 10%)."
    assert _spans(told, "drifted by -14% (bound 10%)") == [(-17, -14, -12), (10, 10, 10)]
    assert _spans(told, "jumped by -14% (bound 10%)") is None
    assert _spans("took 97 % of it", "took 90 % of it") == [(97, 90, 97)]


def test_a_real_run_is_judged_and_reported(tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    resolved = resolve_job(SPEC, base=tmp_path, store=store)

    def read(sha256: str) -> bytes:
        return store.path(sha256).read_bytes()

    work = tmp_path / "work"
    work.mkdir()
    results = score_results(_run(resolved, store, work), read=read, resolved=resolved)
    (verdict,) = judge(results, spec=SPEC, read=read)
    fp32, int8 = sorted(verdict.choices, key=lambda choice: choice.precision)
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert fp32.accuracy is not None
    assert abs(fp32.accuracy.value - 0.238) < 0.03
    assert int8.accuracy_drop is not None
    assert fp32.latency_seconds is not None
    # On a busy machine a run is void by right; then nothing may be recommended, and the reasons are told.
    valid = [result for result in results if result.validity.valid]
    if valid:
        assert verdict.answer in {"recommended", "cannot tell"}
        assert set(verdict.recommended) <= {result.trial for result in valid}
    else:
        assert verdict.answer == "cannot tell"
        assert verdict.recommended == []
        told = [_spans(verdict.headline, result.validity.reasons[0]) for result in results]
        spans = [span for each in told if each is not None for span in each]
        assert any(each is not None for each in told), verdict.headline
        assert all(low <= number <= high for low, number, high in spans), verdict.headline
    assert meets_requirements([verdict]) == bool(verdict.recommended)
    assert "FP32" in "\n".join(verdict_lines(verdict))
    html = render_report([Section([verdict], results, resolved)], read=read)
    assert resolved.source.sha256 in html
    assert html.count('role="img"') >= 4
