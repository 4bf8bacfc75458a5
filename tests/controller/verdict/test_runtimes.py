"""The trial to deploy against the best of each other runtime, in words."""

from __future__ import annotations

from typing import Any

from edgedyno.controller.lab.verdict import Verdict, judge, verdict_lines
from edgedyno.core.job import JobSpec, Require
from tests.controller.synthetic import Lab, Trial


def on(runtime: str, version: str, precision: str, seconds: float, **more: Any) -> Trial:
    accuracy, threads, drop = more.pop("accuracy", 0.24), more.pop("threads", 1), more.pop("drop", None)
    fields = {"runtime": runtime, "runtime_version": version, **more}
    return Trial(precision, threads, seconds, accuracy, drop, more=fields)


def verdict_of(*trials: Trial, **require: float) -> Verdict:
    lab = Lab()
    spec = JobSpec(name="synthetic", model="synthetic_net", require=Require(**require))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def test_the_best_is_compared_with_the_best_of_each_other_runtime() -> None:
    verdict = verdict_of(
        on("openvino", "2026.4", "int8", 0.010),
        on("openvino", "2026.4", "fp32", 0.012),
        on("ncnn", "1.0", "int8", 0.016),
        on("ncnn", "1.0", "fp32", 0.013),
        on("tvm", "0.27", "fp32", 0.065),
    )
    assert [(item.runtime, item.other_runtime) for item in verdict.runtimes] == [
        ("openvino", "ncnn"),
        ("openvino", "tvm"),
    ]
    first, second = verdict.runtimes
    assert first.text.startswith("openvino in INT8 is 1.3")
    assert "times faster than the best of ncnn, FP32 (95 % interval 1.2" in first.text
    assert second.ratio is not None
    assert abs(1 / second.ratio.value - 6.5) < 0.2
    words = verdict_lines(verdict)
    assert words[words.index("Runtime against runtime") + 1].startswith("  - openvino in INT8 is 1.3")


def test_one_runtime_is_compared_with_none() -> None:
    verdict = verdict_of(on("ncnn", "1.0", "int8", 0.016), on("ncnn", "1.0", "fp32", 0.013))
    assert verdict.runtimes == []
    assert "Runtime against runtime" not in verdict_lines(verdict)


def test_a_fast_wrong_trial_is_not_the_best_of_its_runtime() -> None:
    verdict = verdict_of(
        on("openvino", "2026.4", "fp32", 0.012),
        on("ncnn", "1.0", "int8", 0.005, accuracy=0.03, drop=(0.21, 0.15, 0.28)),
        on("ncnn", "1.0", "fp32", 0.013),
    )
    (item,) = verdict.runtimes
    assert "the best of ncnn, FP32" in item.text


def test_two_versions_of_one_runtime_are_two() -> None:
    verdict = verdict_of(on("ncnn", "1.0.1", "fp32", 0.012), on("ncnn", "1.0.2", "fp32", 0.015))
    (item,) = verdict.runtimes
    assert (item.runtime, item.other_runtime) == ("ncnn 1.0.1", "ncnn 1.0.2")
    assert item.conclusion == "faster"


def test_settings_are_told_where_they_differ() -> None:
    verdict = verdict_of(
        on("openvino", "2026.4", "fp32", 0.012, threads=2), on("ncnn", "1.0", "fp16", 0.020, threads=1)
    )
    (item,) = verdict.runtimes
    assert item.text.startswith("openvino in FP32 at 2 threads is 1.6")
    assert "than the best of ncnn, FP16 at 1 thread (" in item.text
