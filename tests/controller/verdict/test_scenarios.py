"""Verdicts of other scenarios than single-stream. The results are synthetic stand-ins for those of a board."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from edgedyno.controller.lab.verdict import Verdict, judge, verdict_lines
from edgedyno.controller.lab.verdict.objectives import keep_deadlines_best, wilson
from edgedyno.core.job import JobSpec, Require
from edgedyno.core.result import Bounded, Burst, Deadlines, Samples, Soak
from tests.controller.synthetic import SWEEP, Lab, Trial


def camera(trial: Trial, missed: int, arrivals: int = 900) -> Trial:
    deadlines = Deadlines(1 / 30, arrivals, missed, missed // 2)
    return replace(trial, more={"scenario": "fixed-rate 30 fps", "deadlines": deadlines})


def streams(trial: Trial, rate: float, half: float = 0.02) -> Trial:
    interval = Bounded(rate, rate * (1 - half), rate * (1 + half))
    fields: dict[str, Any] = {"throughput_per_second": rate, "throughput_per_second_interval": interval}
    return replace(trial, more={"scenario": "throughput 4 streams", **fields})


def soaked(trial: Trial, first: float, last: float, throttled: float | None = None) -> Trial:
    slowdown = Bounded(last / first, last / first * 0.99, last / first * 1.01)
    soak = Soak(1800.0, first, last, slowdown, throttled)
    return replace(trial, more={"scenario": "soak 30 min", "soak": soak})


def verdict_of(*trials: Trial, **require: float) -> Verdict:
    lab = Lab()
    spec = JobSpec(name="synthetic", model="synthetic_net", require=Require(**require))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def order(verdict: Verdict) -> list[str]:
    return [choice.label for choice in verdict.choices if choice.rank]


def test_a_camera_is_ranked_by_missed_deadlines_and_then_by_latency() -> None:
    fast_but_late = camera(SWEEP[1], 104)
    verdict = verdict_of(fast_but_late, camera(SWEEP[0], 1), camera(SWEEP[4], 0))
    assert order(verdict) == ["INT8 · 1 thread", "FP32 · 1 thread", "FP32 · 2 threads"]
    late = verdict.choices[2]
    assert late.reasons == [
        "misses more deadlines than the recommended one: 12 %, 104 of 900 deadlines missed"
    ]
    assert "median from arrival 20" in verdict.headline
    assert "0 of 900 deadlines missed" in verdict.headline


def test_a_cameras_latency_requirement_is_judged_from_arrival() -> None:
    verdict = verdict_of(camera(SWEEP[1], 0), latency_p95=0.001)
    (judgement,) = verdict.choices[0].judgements
    assert judgement.outcome == "violated"
    assert "(from arrival)" in judgement.text


def test_a_few_misses_more_are_no_ground() -> None:
    lab = Lab()
    results = lab.results(camera(SWEEP[0], 3), camera(SWEEP[1], 0), camera(SWEEP[2], 40))
    kept = keep_deadlines_best(results, level=0.95)
    assert [result.threads for result in kept] == [1, 2]


@pytest.mark.parametrize(("missed", "arrivals"), [(0, 900), (900, 900), (0, 0)])
def test_an_interval_of_a_share_stays_within_its_bounds(missed: int, arrivals: int) -> None:
    low, high = wilson(Deadlines(0.03, arrivals, missed), 0.95)
    assert 0 <= low <= high <= 1
    assert high > 0


def test_streams_are_ranked_by_throughput_with_its_interval() -> None:
    verdict = verdict_of(streams(SWEEP[1], 90.0), streams(SWEEP[0], 150.0), throughput=100.0)
    assert order(verdict) == ["FP32 · 1 thread"]
    assert "150 /s, 95 % interval 147 to 153 /s" in verdict.headline
    rejected = next(choice for choice in verdict.choices if choice.status == "rejected")
    assert rejected.reasons == [
        "throughput 90 /s (95 % interval 88.2 to 91.8 /s), 10 % below the limit of 100 /s"
    ]
    lines = verdict_lines(verdict)
    assert any("throughput" in line and "median" in line for line in lines)


def test_a_throughput_whose_interval_holds_the_limit_is_undecided() -> None:
    (choice,) = verdict_of(streams(SWEEP[1], 101.0), throughput=100.0).choices
    assert choice.status == "undecided"


def test_a_single_stream_is_not_sold_as_several() -> None:
    (choice,) = verdict_of(SWEEP[1], throughput=1000.0).choices
    (judgement,) = choice.judgements
    assert judgement.outcome == "violated"
    assert "(one inference at a time: 1 / mean latency)" in judgement.text


def test_streams_that_ran_in_turn_are_compared_window_by_window() -> None:
    lab = Lab()
    results = lab.results(streams(SWEEP[1], 100.0, half=0.1), streams(SWEEP[3], 90.0, half=0.1))
    drift = np.exp(np.random.default_rng(1).normal(0, 0.1, 40))
    for result, rate in zip(results, (100.0, 90.0), strict=True):
        bursts = [
            Burst(at, at, [0.04] * 8, window_seconds=2.0, window_inferences=float(2.0 * rate * slow))
            for at, slow in enumerate(drift)
        ]
        lab.artifacts[result.samples_sha256 or ""] = msgspec.json.encode(Samples(result.trial, [], bursts))
    (verdict,) = judge(results, spec=JobSpec(name="synthetic", model="synthetic_net"), read=lab.read)
    ratio = verdict.choices[1].ratio
    assert ratio is not None
    assert ratio.paired
    assert ratio.low <= 100 / 90 <= ratio.high * 1.0001
    assert ratio.seconds == pytest.approx(2 * 40 * 2.0)


def test_noise_turns_no_order_round() -> None:
    verdict = verdict_of(soaked(SWEEP[1], 0.01350, 0.01370), soaked(SWEEP[3], 0.01355, 0.01365))
    assert not any("turns the order round" in note for note in verdict.notes)


def test_a_soak_is_ranked_by_its_end_and_names_who_changes_places() -> None:
    verdict = verdict_of(
        soaked(SWEEP[1], 0.0135, 0.0200, 94.0),
        soaked(SWEEP[5], 0.0168, 0.0171),
        soaked(SWEEP[0], 0.024, 0.0241),
    )
    assert order(verdict)[0] == "INT8 · 2 threads"
    assert "median at the last 17.1 ms" in verdict.headline
    (flip,) = [note for note in verdict.notes if note.startswith("Sustained load turns the order round")]
    assert flip == (
        "Sustained load turns the order round: FP32 · 2 threads is faster at first (13.5 ms against 16.8 ms), "
        "INT8 · 2 threads at the last (17.1 ms against 20 ms). The ranking goes by the last."
    )
    text = "\n".join(verdict_lines(verdict, width=120))
    assert "x1.48" in text
    assert "after 94 s" in text


def test_a_soaks_median_requirement_is_judged_at_its_end() -> None:
    verdict = verdict_of(soaked(SWEEP[1], 0.0135, 0.0200), latency_p50=0.015)
    assert "median latency 20 ms" in verdict.choices[0].reasons[0]
    assert "(at the end of the soak)" in verdict.choices[0].reasons[0]
