"""Which trials nothing beats by latency, energy and accuracy together."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from edgedyno.controller.lab.verdict import ParetoPoint, Verdict, judge
from edgedyno.core.job import JobSpec
from edgedyno.core.result import Agreement, Bounded, Fidelity
from tests.controller.synthetic import SWEEP, Lab, Trial, metered
from tests.controller.verdict.test_judging import COLLAPSED, verdict_of


def points(verdict: Verdict) -> dict[str, ParetoPoint]:
    labels = {choice.trial: choice.label for choice in verdict.choices}
    return {labels[point.trial]: point for point in verdict.pareto}


def test_what_intervals_show_is_dominated_and_nothing_else() -> None:
    verdict = verdict_of(*SWEEP)
    assert verdict.pareto_axes == ["latency", "accuracy"]
    found = points(verdict)
    slow = found["FP32 · 1 thread"]
    assert slow.certain
    assert slow.text == "dominated by FP32 · 2 threads"
    assert found["INT8 · 1 thread"].text == "dominated by INT8 · 2 threads", (
        "one file: threads change no prediction"
    )
    # Slower, but its accuracy is known to several points only: FP32 is not shown to be as good.
    int8 = found["INT8 · 2 threads"]
    assert (int8.certain, int8.text) == (
        False,
        "not shown to be dominated, though FP32 · 2 threads seems better",
    )
    assert found["FP32 · 2 threads"].dominated_by is None


def test_fast_and_wrong_is_on_the_front_whatever_the_requirements_say() -> None:
    found = points(verdict_of(SWEEP[1], COLLAPSED))
    assert {label: (one.dominated_by, one.certain, one.text) for label, one in found.items()} == {
        "FP32 · 2 threads": (None, True, "on the front"),
        "INT8 · 2 threads": (None, True, "on the front"),
    }


def test_energy_is_an_axis_where_every_trial_has_it() -> None:
    metered_ones = [
        replace(SWEEP[1], more=metered(0.04, 5.0)),
        replace(SWEEP[0], more=metered(0.06, 3.0)),
    ]
    verdict = verdict_of(*metered_ones)
    assert verdict.pareto_axes == ["latency", "accuracy", "energy"]
    assert points(verdict)["FP32 · 1 thread"].energy_joules == Bounded(0.06, 0.06 * 0.97, 0.06 * 1.03)
    assert verdict_of(metered_ones[0], SWEEP[0]).pareto_axes == ["latency", "accuracy"]


def test_without_labels_the_axis_is_agreement() -> None:
    lab = Lab()
    fp32, int8 = lab.results(Trial("fp32", 2, 0.0135), Trial("int8", 2, 0.009))
    known = Fidelity("FP32", agreement=Agreement(Bounded(0.9, 0.85, 0.95), 50))
    results = [fp32, msgspec.structs.replace(int8, fidelity=known)]
    (verdict,) = judge(results, spec=JobSpec(name="synthetic", model="synthetic_net"), read=lab.read)
    assert verdict.pareto_axes == ["latency", "agreement"]
    assert points(verdict)["INT8 · 2 threads"].accuracy == Bounded(0.9, 0.85, 0.95)


def test_one_quantity_alone_makes_no_front() -> None:
    assert verdict_of(SWEEP[1]).pareto == []
