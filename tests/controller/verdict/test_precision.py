"""What really ran, and what was only simulated: in labels, notes, table and answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedyno.controller.lab.verdict import verdict_lines
from edgedyno.core.precision import name_precision, ran_otherwise
from edgedyno.core.result import Result
from tests.controller.synthetic import SWEEP, Lab, Trial
from tests.controller.verdict.test_judging import COLLAPSED, statuses, verdict_of

REASON = "simulated: this runtime imitates the device"
SIMULATED = Trial(
    "int8",
    1,
    None,
    0.230,
    (0.012, -0.03, 0.05),
    more={
        "runtime": "rknn-simulator",
        "runtime_version": "2.5.0",
        "format": "rknn",
        "latency_seconds_reason": REASON,
        "effective_precision": "int8",
    },
)
WIDENED = replace(SWEEP[3], more={"effective_precision": "fp32", "effective_precision_detail": "fp16 stored"})


@pytest.mark.parametrize(
    ("asked", "ran", "otherwise", "words"),
    [
        ("fp16", "fp32", "fp32", "FP16 (ran FP32)"),
        ("int8", "mixed", "mixed", "INT8 (ran mixed)"),
        ("fp16", "fp16", None, "FP16"),
        ("fp16", None, None, "FP16"),
        ("fp16", "unknown", None, "FP16"),
    ],
)
def test_what_ran_is_named_beside_what_was_asked(
    asked: str, ran: str | None, otherwise: str | None, words: str
) -> None:
    (result,) = Lab().results(Trial(asked, 1, 0.01, more={"effective_precision": ran}))
    assert isinstance(result, Result)
    assert ran_otherwise(result) == otherwise
    assert name_precision(result) == words


def test_fp16_that_ran_as_fp32_says_so_wherever_the_trial_is_named() -> None:
    verdict = verdict_of(WIDENED)
    assert verdict.headline.startswith("Use FP16 (ran FP32) · 2 threads")
    assert any(
        note.startswith("FP16 ran as fp32 on onnxruntime 1.22.0 (fp16 stored)") for note in verdict.notes
    )
    assert any("FP16 (ran FP32)" in line for line in verdict_lines(verdict, width=80))


def test_precision_that_is_not_known_is_not_called_another() -> None:
    hidden = replace(SWEEP[3], more={"effective_precision": "unknown"})
    assert not any("ran as" in note for note in verdict_of(hidden).notes)


def test_variants_of_one_precision_are_told_apart_by_name() -> None:
    mine = replace(SWEEP[1], more={"variant": "mine", "recipe": "mine"})
    assert set(statuses(verdict_of(SWEEP[1], mine))) == {
        "FP32 · 2 threads",
        "FP32 mine · 2 threads",
    }


def test_simulated_trial_is_not_ranked_and_does_not_open_a_settled_answer() -> None:
    verdict = verdict_of(SWEEP[1], SIMULATED)
    assert verdict.answer == "recommended"
    simulated = next(choice for choice in verdict.choices if choice.runtime == "rknn-simulator")
    assert (simulated.status, simulated.rank, simulated.state) == ("undecided", None, "not settled")
    assert REASON in simulated.state_text
    assert "rknn-simulator 2.5.0 simulates: its accuracy counts, its speed is not known and not ranked." in (
        verdict.notes
    )
    assert all(len(line) <= 80 for line in verdict_lines(verdict, width=80))
    assert verdict_of(COLLAPSED, SIMULATED, accuracy_drop=0.01).answer == "none meets"


def test_simulated_trials_alone_cannot_tell() -> None:
    verdict = verdict_of(SIMULATED)
    assert verdict.answer == "cannot tell"
    assert "without a latency" in verdict.headline
    assert REASON in verdict.headline
