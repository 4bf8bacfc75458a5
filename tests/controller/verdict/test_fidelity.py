"""Without labels, and against known images: what is known of a variant's rightness beside a score."""

from __future__ import annotations

from dataclasses import replace

from edgedyno.controller.lab.verdict import Verdict, judge
from edgedyno.core.job import JobSpec, Require
from edgedyno.core.result import Agreement, Bounded, Fidelity, OutputFidelity, SelfTest, ThreadsCheck
from tests.controller.synthetic import SWEEP, Lab, Trial

WRONG_COLOUR = SelfTest(False, 3, "2 of 3 known objects are missing", "input.colour-order")
UNEXPLAINED = SelfTest(False, 3, "1 of 3 known objects is missing")


def fidelity(value: float, low: float, high: float) -> Fidelity:
    return Fidelity(
        "FP32 on onnxruntime 1.22.0",
        outputs=[OutputFidelity("output", 21.3, 0.99, 0.4)],
        agreement=Agreement(Bounded(value, low, high), 60),
    )


def unlabelled(value: float, low: float, high: float) -> Trial:
    return Trial("int8", 2, 0.0090, more={"fidelity": fidelity(value, low, high)})


FP32 = Trial("fp32", 2, 0.0135)


def verdict_of(*trials: Trial, **require: float) -> Verdict:
    lab = Lab()
    spec = JobSpec(name="synthetic", model="synthetic_net", require=Require(**require))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def test_without_labels_the_answer_says_fidelity_and_not_accuracy() -> None:
    verdict = verdict_of(FP32, unlabelled(0.95, 0.92, 0.97))
    assert verdict.proof == "fidelity"
    assert verdict.choices[0].precision == "int8"
    assert verdict.headline.endswith(
        "This is fidelity, not accuracy: it finds 95 % (95 % interval 92 to 97 %, 60 images) of what FP32 on "
        "onnxruntime 1.22.0 finds; without labels nothing here shows how accurate either is."
    )
    assert any("SQNR of the worst output 21.3 dB" in note for note in verdict.notes)
    assert verdict.choices[0].fidelity == fidelity(0.95, 0.92, 0.97)


def test_without_labels_and_fidelity_nothing_is_claimed() -> None:
    verdict = verdict_of(FP32, Trial("int8", 2, 0.0090))
    assert verdict.proof == "none"
    assert verdict.headline.endswith("Nothing here shows how accurate it is.")


def test_agreement_can_be_required_and_takes_images() -> None:
    assert verdict_of(FP32, unlabelled(0.95, 0.92, 0.97), agreement=0.9).choices[0].precision == "int8"
    rejected = next(
        one
        for one in verdict_of(FP32, unlabelled(0.6, 0.5, 0.7), agreement=0.9).choices
        if one.precision == "int8"
    )
    assert rejected.reasons == [
        "agreement with FP32 60 % (95 % interval 50 to 70 %), 30 pt below the limit of 90 %"
    ]
    open_one = next(
        one
        for one in verdict_of(FP32, unlabelled(0.93, 0.88, 0.97), agreement=0.9).choices
        if one.precision == "int8"
    )
    (judgement,) = open_one.judgements
    assert judgement.outcome == "undecided"
    assert judgement.more_images
    assert "more images (60 were used)" in (judgement.settle or "")


def test_a_variant_that_sees_little_of_what_fp32_sees_never_wins() -> None:
    verdict = verdict_of(FP32, unlabelled(0.2, 0.1, 0.3))
    int8 = next(one for one in verdict.choices if one.precision == "int8")
    assert int8.status == "rejected"
    assert int8.reasons[0].startswith("fidelity collapsed: it finds 20 %")


def test_a_failed_check_on_known_images_rejects_by_name() -> None:
    broken = replace(SWEEP[5], latency_seconds=0.009, more={"selftest": WRONG_COLOUR})
    verdict = verdict_of(SWEEP[1], broken)
    int8 = next(one for one in verdict.choices if one.precision == "int8")
    assert int8.status == "rejected"
    assert int8.reasons == [
        "fails the check on known images: it looks like the wrong colour order (2 of 3 known objects are missing)"
    ]
    assert verdict.choices[0].precision == "fp32"
    assert verdict.brief.endswith(
        "INT8: rejected (fails the check on known images: it looks like the wrong colour order)"
    )


def test_a_profile_that_is_wrong_for_every_variant_is_named_as_such() -> None:
    trials = [replace(trial, more={"selftest": WRONG_COLOUR}) for trial in SWEEP]
    verdict = verdict_of(*trials)
    assert verdict.answer == "none meets"
    assert verdict.headline == (
        "None can be deployed as it is: every trial failed the check on known images (it looks like the wrong colour "
        "order). Mend what the profile says of the model and run again."
    )


def test_an_unexplained_failure_warns_unless_scores_say_otherwise() -> None:
    unlabelled_one = Trial("int8", 2, 0.0090, more={"selftest": UNEXPLAINED})
    assert any(
        "nothing explains why: INT8 · 2 threads" in note for note in verdict_of(FP32, unlabelled_one).notes
    )
    fine = replace(SWEEP[5], more={"selftest": UNEXPLAINED})
    assert not any("nothing explains why" in note for note in verdict_of(SWEEP[1], fine).notes)


def test_predictions_that_change_with_threads_are_named_once() -> None:
    check = ThreadsCheck(2, 1, 8, identical=False, max_score_difference=0.1, text="2 of 8 images differ")
    trials = [replace(trial, more={"threads_check": check}) for trial in SWEEP[4:]]
    notes = [
        note for note in verdict_of(*SWEEP[:2], *trials).notes if "change with the number of threads" in note
    ]
    assert len(notes) == 1
    assert "(2 of 8 images differ): its accuracy holds for 2 threads only" in notes[0]


def test_rounding_between_numbers_of_threads_is_no_warning() -> None:
    check = ThreadsCheck(2, 1, 8, identical=False, max_score_difference=1e-6, text="", rounding_only=True)
    trials = [replace(trial, more={"threads_check": check}) for trial in SWEEP]
    assert not any("change with the number of threads" in note for note in verdict_of(*trials).notes)


def test_a_failed_check_says_what_mends_it_once_for_all() -> None:
    mended = [
        SelfTest(
            False,
            3,
            f"{count} of 3 known objects are missing",
            "input.colour-order",
            ["input.colour: RGB → BGR"],
        )
        for count in (1, 2)
    ]
    trials = [replace(trial, more={"selftest": test}) for trial, test in zip(SWEEP[:2], mended, strict=True)]
    reasons = {reason for one in verdict_of(*trials).choices for reason in one.reasons}
    assert reasons == {
        "fails the check on known images: it looks like the wrong colour order (input.colour: RGB → BGR)"
    }
