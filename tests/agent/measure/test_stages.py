"""What preparing images and decoding outputs takes: timed in the accuracy pass, never part of the latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.measure.journal import PassLog
from edgedyno.agent.measure.stages import stage_fields
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.result import StageSummary
from tests.agent.measure.requests import Bench, onnxruntime
from tests.agent.measure.test_runner import fastestdet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_both_stages_are_timed_for_each_image_that_has_them(bench: Bench) -> None:
    request = bench.request(
        [fastestdet(bench)],
        runtimes=[onnxruntime()],
        images=3,
        sweep=Sweep(precisions=["fp32"], threads=[1]),
        measure=Measure(precision=0.5, max_seconds=1),
    )
    broken = bench.folder / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 not a picture")
    bench.files[request.manifest.images[0].file.sha256] = str(broken)
    (result,) = bench.run(request)
    assert result.stages_reason is None
    for stage in (result.preprocess_seconds, result.postprocess_seconds):
        assert stage is not None
        assert stage.n == 2
        assert 0 < stage.p50 < 5
        assert stage.p95 is None


def test_without_images_the_reason_is_stated(bench: Bench) -> None:
    request = bench.request(
        [fastestdet(bench)], runtimes=[onnxruntime()], measure=Measure(precision=0.5, max_seconds=1)
    )
    (result,) = bench.run(request)
    assert (result.preprocess_seconds, result.postprocess_seconds) == (None, None)
    assert result.stages_reason == "not timed: the job has no images"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (PassLog(reason="worker.crashed: signal 11"), "not timed: worker.crashed: signal 11"),
        (PassLog(), "not timed: no image could be prepared"),
        (PassLog(preprocess_seconds=[0.01]), "decoding was not timed: no output could be decoded"),
    ],
)
def test_what_was_not_timed_says_why(log: PassLog, reason: str) -> None:
    assert stage_fields(log)["stages_reason"] == reason


def test_a_tail_needs_its_samples() -> None:
    few, many = (PassLog(preprocess_seconds=[0.01] * n, postprocess_seconds=[0.02] * n) for n in (129, 130))
    assert stage_fields(few)["postprocess_seconds"] == StageSummary(129, 0.02)
    assert stage_fields(many)["postprocess_seconds"] == StageSummary(130, 0.02, 0.02)


def test_a_log_from_before_the_stages_can_still_be_read() -> None:
    assert msgspec.json.decode(b'{"predictions_sha256":"ab"}', type=PassLog).preprocess_seconds == []
