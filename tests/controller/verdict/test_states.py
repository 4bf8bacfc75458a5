"""What is said of every trial, in the table too. All results are synthetic; states that need other parts are set."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from edgedyno.controller.lab.verdict import Verdict, judge, verdict_lines
from edgedyno.controller.lab.verdict.quantities import merge_alike
from edgedyno.core.job import JobSpec, Measure, Require
from edgedyno.core.manifest import Failure
from edgedyno.core.result import NOT_TRIED, StageSummary
from tests.controller.synthetic import SWEEP, Lab, Trial, failed, skipped

FOREIGN = "other processes took 97 % of one CPU"


def with_fields(trial: Trial, **fields: Any) -> Trial:
    return replace(trial, more={**trial.more, **fields})


def not_tried(threads: int, text: str = "it has more threads than those beaten") -> Trial:
    return Trial("int8", threads, None, more={"status": "skipped", "failure": Failure(NOT_TRIED, text)})


def verdict_of(*trials: Trial, precision: float = 0.02, **require: float) -> Verdict:
    lab = Lab()
    spec = JobSpec(
        name="synthetic",
        model="synthetic_net",
        measure=Measure(precision=precision),
        require=Require(**require),
    )
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def test_every_state_is_told_with_its_reason() -> None:
    trials = (
        SWEEP[0],
        with_fields(SWEEP[2], eliminated=True),
        with_fields(SWEEP[3], settled=False),
        replace(SWEEP[4], void=FOREIGN),
        failed("int8", 3),
        skipped("fp16", 4),
        not_tried(8),
    )
    states = {
        choice.label: (choice.state, choice.state_text)
        for choice in verdict_of(*trials, precision=0.02).choices
    }
    assert states["FP32 · 1 thread"] == ("settled", "")
    assert states["FP16 · 1 thread"] == ("eliminated", "beaten beyond doubt")
    assert states["INT8 · 1 thread"] == ("void", FOREIGN)
    assert states["INT8 · 3 threads"] == ("failed", "the worker was killed by signal 11")
    assert states["FP16 · 4 threads"] == ("skipped", "no runtime of this board can run tflite")
    assert states["INT8 · 8 threads"] == ("not tried", "it has more threads than those beaten")
    assert states["FP16 · 2 threads"][0] == "not settled"


def test_what_is_not_settled_says_how_much_more_would_settle_it() -> None:
    trial = with_fields(SWEEP[0], settled=False)
    (choice,) = verdict_of(trial, precision=0.01).choices
    latency = choice.latency_seconds
    assert latency is not None
    assert latency.p50_low is not None
    assert latency.p50_high is not None
    width = (latency.p50_high - latency.p50_low) / 2 / latency.p50
    # Bursts of six inferences in 60 blocks; the first of each counts in the time though not in the median.
    spent = 60 * 6 * 0.0245
    assert choice.more_seconds == pytest.approx(spent * ((width / 0.01) ** 2 - 1), rel=0.1)
    assert "instead of ±1 %; about " in choice.state_text
    assert choice.state_text.endswith(" s more needed")


def test_what_no_reasonable_time_would_settle_says_so() -> None:
    (choice,) = verdict_of(with_fields(SWEEP[0], settled=False), precision=1e-5).choices
    assert choice.more_seconds is None
    assert choice.state_text.endswith("no reasonable time would do")


def test_the_confidence_adds_up_what_is_missing() -> None:
    verdict = verdict_of(*(with_fields(trial, settled=False) for trial in SWEEP[:2]), precision=0.01)
    more = sum(choice.more_seconds or 0 for choice in verdict.choices)
    assert "2 of 2 trials are not settled to ±1 % in the time given: about" in verdict.confidence
    found = re.search(r"about ([\d,]+) s more of measuring would settle them", verdict.confidence)
    assert found is not None
    stated = int(found[1].replace(",", ""))
    assert more <= stated < more * 1.11


def test_where_everything_is_void_nothing_is_claimed() -> None:
    verdict = verdict_of(*(replace(trial, void=FOREIGN) for trial in SWEEP))
    assert verdict.answer == "cannot tell"
    assert verdict.confidence.startswith(
        "No speed and no power here can be relied on: every trial that ran is void."
    )


@pytest.mark.parametrize("width", [80, 120])
def test_a_disturbed_sweep_says_why_in_the_table(width: int) -> None:
    trials = [
        replace(trial, void=f"other processes took {90 + at} % of one CPU") for at, trial in enumerate(SWEEP)
    ]
    lines = verdict_lines(verdict_of(*trials), width=width)
    table = lines[lines.index("Choices") :]
    assert max(map(len, lines)) <= width
    if width == 80:
        assert "        these 6: void: other processes took 90 to 95 % of one CPU" in table
    else:
        assert sum("void    other processes took" in line for line in table) == 6


def test_what_a_search_left_out_takes_one_line() -> None:
    lines = verdict_lines(verdict_of(*SWEEP, *(not_tried(threads) for threads in range(3, 44))))
    assert "  41 cells were not tried: it has more threads than those beaten" in lines
    assert not any("INT8 · 17 threads" in line for line in lines)


def test_several_reasons_of_a_search_are_counted() -> None:
    lines = verdict_lines(verdict_of(SWEEP[0], not_tried(3), not_tried(4), not_tried(5, "time was up")))
    text = " ".join(line.strip() for line in lines)
    assert (
        "3 cells were not tried: it has more threads than those beaten (2 of them; 1 other reasons)" in text
    )


def test_labels_too_long_for_a_row_get_lines_of_their_own() -> None:
    far = {"runtime": "ncnn", "runtime_version": "20250101", "format": "ncnn", "cores": "cluster0"}
    verdict = verdict_of(
        SWEEP[0], with_fields(SWEEP[1], **far), with_fields(SWEEP[3], settled=False), precision=0.01
    )
    lines = verdict_lines(verdict)
    assert max(map(len, lines)) <= 80
    at = lines.index("  1 FP32 · ncnn · 2 threads · cores cluster0")
    assert "recommended" in lines[at + 1]
    assert any(line.startswith("        not settled: ±") for line in lines)


def test_stages_longer_than_the_inference_are_named() -> None:
    stages = {"preprocess_seconds": StageSummary(17, 0.0091), "postprocess_seconds": StageSummary(17, 0.036)}
    verdict = verdict_of(with_fields(SWEEP[1], **stages))
    (note,) = [note for note in verdict.notes if note.startswith("The inference is not")]
    assert "preparing an image takes 9.1 ms here and decoding the output 36 ms, together 3.3 times" in note
    assert note.endswith("end to end 58.6 ms, the sum of the three medians.")
    brief = {"preprocess_seconds": StageSummary(17, 0.001), "postprocess_seconds": StageSummary(17, 0.001)}
    notes = verdict_of(with_fields(SWEEP[1], **brief)).notes
    assert not any(note.startswith("The inference is not") for note in notes)


def test_texts_that_differ_in_numbers_only_are_merged() -> None:
    assert merge_alike(["took 97 % of 1 CPU", "took 9.5 % of 1 CPU", "swap"]) == [
        "took 9.5 to 97 % of 1 CPU",
        "swap",
    ]
    drifts = ["drifted by -12% (bound 10%)", "drifted by -17% (bound 10%)"]
    assert merge_alike(drifts) == ["drifted by -17 to -12% (bound 10%)"]
