"""Two runs held against each other. All results are synthetic: made by a random number generator."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from edgedyno.controller.lab.agreement import Agreement, Run, compare_runs
from edgedyno.controller.lab.verdict import judge
from edgedyno.core.job import JobSpec
from edgedyno.core.manifest import Failure
from edgedyno.core.result import NOT_TRIED, Bounded
from tests.controller.synthetic import SWEEP, Lab, Trial, failed


def run_of(*trials: Trial, seed: int = 1, board: str = "synthetic-pi") -> Run:
    lab = Lab(seed=seed, board=board)
    results = lab.results(*trials)
    return Run(results, judge(results, spec=JobSpec(name="synthetic", model="synthetic_net"), read=lab.read))


def outcomes(agreement: Agreement) -> dict[str, str]:
    return {trial.label: trial.outcome for trial in agreement.trials}


def test_two_runs_of_the_same_sweep_agree_and_so_do_their_verdicts() -> None:
    agreement = compare_runs(run_of(*SWEEP, seed=1), run_of(*SWEEP, seed=2))
    assert set(outcomes(agreement).values()) == {"agree"}
    (verdict,) = agreement.verdicts
    assert verdict.same
    assert verdict.text == "the same: use FP16 · 2 threads"
    assert agreement.agrees
    assert agreement.left_out == 0


def test_recommendations_that_neither_run_tells_apart_are_the_same_answer() -> None:
    fp32 = Trial("fp32", 1, 0.0100)
    first = run_of(fp32, Trial("fp16", 1, 0.0101), seed=1)  # a tie, for the smaller file
    second = run_of(fp32, Trial("fp16", 1, 0.01025), seed=2)  # slower by estimate, at a margin of 2 %
    (verdict,) = compare_runs(first, second).verdicts
    assert verdict.same
    assert verdict.text == (
        "the same, as neither run tells these two apart: "
        "use FP16 · 1 thread in the first, use FP32 · 1 thread in the second"
    )


def test_a_trial_that_became_slower_differs_and_so_does_the_verdict() -> None:
    slower = [*SWEEP[:3], replace(SWEEP[3], latency_seconds=0.030), *SWEEP[4:]]
    agreement = compare_runs(run_of(*SWEEP), run_of(*slower, seed=2))
    differing = [trial for trial in agreement.trials if trial.outcome == "differ"]
    assert [trial.label for trial in differing] == ["FP16 · 2 threads"]
    assert differing[0].text == "second is slower"
    assert differing[0].low is not None
    assert differing[0].low > 2
    assert (differing[0].first_status, differing[0].second_status) == ("recommended", "acceptable")
    (verdict,) = agreement.verdicts
    assert verdict.text == "differ: use FP16 · 2 threads in the first, use FP32 · 2 threads in the second"
    assert not agreement.agrees


def test_void_in_one_run_is_told_with_its_reason() -> None:
    void = replace(SWEEP[0], void="other processes took 97 % of one CPU")
    agreement = compare_runs(run_of(*SWEEP[:2]), run_of(void, SWEEP[1], seed=2))
    trial = next(each for each in agreement.trials if each.label == "FP32 · 1 thread")
    assert trial.outcome == "differ"
    assert trial.text == "void in the second: other processes took 97 % of one CPU"
    assert trial.ratio is None
    assert not agreement.agrees


def test_runs_without_any_number_do_not_agree() -> None:
    agreement = compare_runs(run_of(failed("fp32", 1)), run_of(failed("fp32", 1)))
    assert [trial.text for trial in agreement.trials] == ["failed in both"]
    assert not agreement.agrees


def test_what_a_search_left_out_is_no_difference() -> None:
    more = {"status": "skipped", "failure": Failure(NOT_TRIED, "not near the best")}
    left_out = Trial("int8", 1, None, more=more)
    agreement = compare_runs(run_of(*SWEEP), run_of(*SWEEP[:4], left_out, SWEEP[5], seed=2))
    assert agreement.agrees
    assert agreement.left_out == 1


def test_two_boards_can_be_compared_but_boards_within_a_run_are_kept_apart() -> None:
    here, there = run_of(SWEEP[0]), run_of(SWEEP[0], board="synthetic-x86", seed=2)
    assert outcomes(compare_runs(here, there)) == {"FP32 · 1 thread": "agree"}
    both = Run([*here.results, *there.results], [*here.verdicts, *there.verdicts])
    agreement = compare_runs(both, both)
    assert len(agreement.trials) == len(agreement.verdicts) == 2


def test_throughput_is_compared_as_throughput() -> None:
    def at(rate: float) -> Run:
        interval = {"throughput_per_second_interval": Bounded(rate, rate * 0.99, rate * 1.01)}
        return run_of(replace(SWEEP[0], more={"scenario": "throughput 4 streams", **interval}))

    (trial,) = compare_runs(at(100), at(80)).trials
    assert trial.ratio == pytest.approx(1.25)
    assert trial.text == "second is slower"
    assert trial.first == "100 /s ±1.0%"


def test_it_survives_json() -> None:
    agreement = compare_runs(run_of(*SWEEP), run_of(*SWEEP))
    assert msgspec.json.decode(msgspec.json.encode(agreement), type=Agreement) == agreement
