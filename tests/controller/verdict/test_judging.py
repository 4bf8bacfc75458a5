from __future__ import annotations

import msgspec
import pytest

from edgedyno.controller.lab.verdict import Verdict, judge, meets_requirements
from edgedyno.core.job import JobSpec, Require
from tests.controller.synthetic import SWEEP, Lab, Trial, failed, skipped

FAST_INT8 = Trial("int8", 2, 0.0090, 0.236, (0.006, -0.01, 0.03))
COLLAPSED = Trial("int8", 2, 0.0090, 0.030, (0.212, 0.15, 0.28))


def spec(**require: float) -> JobSpec:
    return JobSpec(name="synthetic", model="synthetic_net", require=Require(**require))


def verdict_of(*trials: Trial, **require: float) -> Verdict:
    lab = Lab()
    (verdict,) = judge(lab.results(*trials), spec=spec(**require), read=lab.read)
    return verdict


def statuses(verdict: Verdict) -> dict[str, str]:
    return {choice.label: choice.status for choice in verdict.choices}


def test_recommends_the_fastest_that_is_shown_to_meet_every_requirement() -> None:
    verdict = verdict_of(SWEEP[0], SWEEP[1], SWEEP[5], latency_p95=0.1, accuracy_drop=0.01)
    assert verdict.answer == "recommended"
    assert [c.label for c in verdict.choices if c.trial in verdict.recommended] == ["FP32 · 2 threads"]
    assert verdict.headline.startswith("Use FP32 · 2 threads (median 13.")
    assert statuses(verdict) == {
        "FP32 · 2 threads": "recommended",
        "FP32 · 1 thread": "acceptable",
        "INT8 · 2 threads": "undecided",
    }
    assert [choice.rank for choice in verdict.choices] == [1, 2, None]
    assert verdict.choices[1].reasons[0].startswith("1.7")
    assert "times slower than the recommended one (95 % interval 1.7" in verdict.choices[1].reasons[0]


def test_a_faster_trial_whose_accuracy_is_not_decided_is_named_with_what_would_settle_it() -> None:
    verdict = verdict_of(SWEEP[1], FAST_INT8, accuracy_drop=0.01)
    int8 = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert verdict.if_shown == int8.trial
    assert int8.status == "undecided"
    (note,) = [note for note in verdict.notes if note.startswith("Fastest if")]
    assert "Fastest if the requirement on accuracy drop holds: INT8 · 2 threads, 1.5" in note
    assert "times faster than the recommended one" in note
    assert "0.6 pt (95 % interval -1 to 3 pt), limit 1 pt; about 600 more images (17 were used)" in note


def test_cannot_tell_when_the_best_that_can_be_said_is_undecided() -> None:
    verdict = verdict_of(*SWEEP, power=15.0)
    assert verdict.answer == "cannot tell"
    assert verdict.recommended == []
    assert "power cannot be judged: this board has no power sensor" in verdict.headline
    assert not meets_requirements([verdict])


def test_none_meets_names_the_nearest_miss_and_by_how_much() -> None:
    verdict = verdict_of(*SWEEP, latency_p50=0.010, accuracy_drop=0.01)
    assert verdict.answer == "none meets"
    nearest = next(choice for choice in verdict.choices if choice.trial == verdict.nearest)
    assert nearest.label == "FP32 · 2 threads"
    assert "Nearest is FP32 · 2 threads: median latency 13.5 ms" in verdict.headline
    assert "35 % above the limit of 10 ms" in verdict.headline
    assert not meets_requirements([verdict])


def test_a_rejected_trial_says_by_which_requirement_and_by_how_much() -> None:
    verdict = verdict_of(SWEEP[1], COLLAPSED, accuracy_drop=0.01)
    int8 = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert int8.status == "rejected"
    assert int8.reasons == [
        "accuracy drop 21.2 pt (95 % interval 15 to 28 pt), 20.2 pt above the limit of 1 pt"
    ]


def test_a_fast_wrong_model_never_wins_even_where_the_job_sets_no_limit() -> None:
    verdict = verdict_of(SWEEP[1], COLLAPSED)
    assert verdict.choices[0].precision == "fp32"
    int8 = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert int8.status == "rejected"
    assert "accuracy collapsed: mAP50-95 0.030 against FP32's 0.242" in int8.reasons[0]


def test_void_results_are_never_ranked_or_compared() -> None:
    void = Trial("int8", 2, 0.0090, 0.242, (0.0, 0.0, 0.0), void="the clock fell by 30 %")
    verdict = verdict_of(SWEEP[1], void, accuracy_drop=0.01)
    assert verdict.choices[0].precision == "fp32"
    int8 = verdict.choices[1]
    assert (int8.status, int8.rank, int8.ratio) == ("void", None, None)
    assert int8.reasons == ["the clock fell by 30 %"]
    assert verdict.comparisons == []
    assert any("1 trial is void and not ranked: the clock fell by 30 %" in note for note in verdict.notes)


def test_all_failed_is_cannot_tell_with_the_most_frequent_reason() -> None:
    verdict = verdict_of(failed("fp32", 1), failed("int8", 1), skipped("fp16", 1))
    assert verdict.answer == "cannot tell"
    assert "2 failed, 1 skipped" in verdict.headline
    assert "the worker was killed by signal 11 (worker.crashed)" in verdict.headline
    assert not meets_requirements([verdict])


def test_a_single_trial_without_accuracy_says_so() -> None:
    verdict = verdict_of(Trial("fp32", 1, 0.05))
    assert verdict.answer == "recommended"
    assert "the only trial that was measured" in verdict.headline
    assert verdict.notes == ["Accuracy did not enter this answer: the data set has no annotations."]


def test_flips_with_the_threads_are_named() -> None:
    notes = verdict_of(*SWEEP, accuracy_drop=0.01).notes
    assert "The choice flips: INT8 is faster than FP32 at 1 thread, slower at 2 threads." in notes


def test_a_precision_that_did_not_run_as_such_is_named_once() -> None:
    ran = {"effective_precision": "fp32", "effective_precision_detail": "fp16 stored, 12 Cast nodes"}
    trials = [Trial("fp16", threads, 0.02, 0.242, (0.0, 0.0, 0.0), more=ran) for threads in (1, 2)]
    notes = verdict_of(SWEEP[0], *trials).notes
    told = (
        "FP16 ran as fp32 on onnxruntime 1.22.0 (fp16 stored, 12 Cast nodes): no gain to expect from it here."
    )
    assert notes.count(told) == 1


def test_one_verdict_for_each_board_and_all_must_recommend() -> None:
    here, there = Lab(seed=1), Lab(seed=2, board="synthetic-x86")
    results = [*here.results(*SWEEP), *there.results(failed("fp32", 1))]
    artifacts = here.artifacts | there.artifacts
    verdicts = judge(results, spec=spec(), read=artifacts.__getitem__)
    assert [(v.board, v.answer) for v in verdicts] == [
        ("synthetic-pi", "recommended"),
        ("synthetic-x86", "cannot tell"),
    ]
    assert not meets_requirements(verdicts)
    assert meets_requirements(verdicts[:1])


def test_no_results_give_no_verdict_and_meet_nothing() -> None:
    assert judge([], spec=spec(), read=Lab().read) == []
    assert not meets_requirements([])


def test_a_late_result_never_replaces_a_newer_attempt() -> None:
    lab = Lab()
    old = lab.results(Trial("fp32", 1, 0.05))[0]
    new = msgspec.structs.replace(lab.results(Trial("fp32", 1, 0.02))[0], attempt=2)
    (verdict,) = judge([new, old], spec=spec(), read=lab.read)
    (choice,) = verdict.choices
    assert choice.latency_seconds is not None
    assert choice.latency_seconds.p50 == pytest.approx(0.02, rel=0.05)


def test_the_verdict_survives_json() -> None:
    verdict = verdict_of(*SWEEP, FAST_INT8, failed("int8", 4), accuracy_drop=0.01, latency_p95=0.1)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_a_trial_without_latency_is_undecided_and_says_why() -> None:
    lab = Lab()
    fp32, int8 = lab.results(SWEEP[1], FAST_INT8)
    silent = msgspec.structs.replace(
        int8, latency_seconds=None, latency_seconds_reason="the time was up before its first burst"
    )
    (verdict,) = judge([fp32, silent], spec=spec(), read=lab.read)
    choice = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert choice.status == "undecided"
    assert choice.reasons == ["no latency: the time was up before its first burst"]


def test_unreadable_samples_are_named_and_leave_unpaired_ratios() -> None:
    lab = Lab()
    results = lab.results(Trial("fp32", 1, 0.02), Trial("int8", 1, 0.01))
    broken = results[1].samples_sha256
    assert broken is not None
    lab.artifacts[broken] = b"{not json"
    (verdict,) = judge(results, spec=spec(), read=lab.read)
    assert any(note.startswith("Samples of a trial cannot be read: DecodeError") for note in verdict.notes)
    (comparison,) = verdict.comparisons
    assert comparison.ratio is not None
    assert not comparison.ratio.paired
    assert comparison.text.endswith("not measured side by side")
