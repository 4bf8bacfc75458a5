"""With what a choice changes: threads, a runtime's version, time. All results are synthetic."""

from __future__ import annotations

from dataclasses import replace

from edgedyno.controller.lab.verdict import Verdict, judge
from edgedyno.core.job import JobSpec
from tests.controller.synthetic import SWEEP, Lab, Trial
from tests.controller.verdict.test_judging import verdict_of

SAME = (0.0, 0.0, 0.0)
SPEC = JobSpec(name="synthetic", model="synthetic_net")


def of_version(version: str, fp32_seconds: float, int8_seconds: float) -> list[Trial]:
    engine = {"runtime": "ncnn", "runtime_version": version, "format": "ncnn"}
    return [
        Trial("fp32", 2, fp32_seconds, 0.242, SAME, more=engine),
        Trial("int8", 2, int8_seconds, 0.242, SAME, more=engine),
    ]


def judged(*trials: Trial, seed: int = 1, earlier: list[Verdict] | None = None) -> Verdict:
    lab = Lab(seed=seed)
    (verdict,) = judge(lab.results(*trials), spec=SPEC, read=lab.read, earlier=earlier or [])
    return verdict


def test_a_flip_with_the_threads_names_the_trials() -> None:
    (flip,) = verdict_of(*SWEEP[:2], *SWEEP[4:]).stability
    assert flip.kind == "threads"
    assert flip.text == "The choice flips: INT8 is faster than FP32 at 1 thread, slower at 2 threads."
    assert len(flip.flips) == 2


def test_a_flip_with_the_version_of_a_runtime() -> None:
    verdict = judged(*of_version("20220101", 0.010, 0.015), *of_version("20240101", 0.010, 0.006))
    found = [item for item in verdict.stability if item.kind == "runtime_version"]
    assert len(found) == 1
    assert found[0].text == (
        "The choice flips with the runtime's version: at the best of each, INT8 is faster than FP32 on ncnn 20240101, "
        "slower on ncnn 20220101."
    )
    assert found[0].text in verdict.notes


def test_another_choice_than_the_last_run_of_the_job_is_told() -> None:
    before = judged(*of_version("1", 0.015, 0.010))
    now = judged(*of_version("1", 0.010, 0.015), seed=2, earlier=[before])
    (change,) = now.stability
    assert change.kind == "time"
    assert change.text.startswith(
        "The choice changed with time: job synthetic-0a1b2c chose INT8 · 2 threads (median"
    )
    assert change.flips == ["INT8 · 2 threads", "FP32 · 2 threads"]
    newer = judged(*of_version("2", 0.010, 0.015), seed=2, earlier=[before])
    (change,) = newer.stability
    assert change.kind == "runtime_version"
    assert "(ncnn 1, then 2)" in change.text


def test_the_same_choice_and_ties_are_no_change() -> None:
    before = judged(*of_version("1", 0.015, 0.010))
    assert judged(*of_version("1", 0.015, 0.010), seed=2, earlier=[before]).stability == []
    tied = [replace(trial, latency_seconds=0.010) for trial in of_version("1", 0.010, 0.010)]
    first, second = judged(*tied), judged(*tied[::-1], seed=3)
    assert judged(*tied[::-1], seed=3, earlier=[first]).stability == second.stability == []
