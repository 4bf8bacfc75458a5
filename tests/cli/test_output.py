"""What the tables of results say of each record. The results are synthetic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgedyno.cli.output import note, print_results, stdout
from edgedyno.cli.results import _sums
from edgedyno.core.manifest import Failure
from edgedyno.core.result import NOT_TRIED, Bounded, Deadlines, StageSummary
from edgedyno.core.stages import end_to_end_seconds
from tests.controller.synthetic import SWEEP, Lab, Trial, failed

STAGES = {"preprocess_seconds": StageSummary(17, 0.004), "postprocess_seconds": StageSummary(17, 0.008)}
LEFT_OUT = {"status": "skipped", "failure": Failure(NOT_TRIED, "far from the best")}


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (SWEEP[0], ""),
        (replace(SWEEP[0], void="swap moved"), "void: swap moved"),
        (replace(SWEEP[0], more={"eliminated": True}), "eliminated: beaten beyond doubt"),
        (replace(SWEEP[0], more={"settled": False}), "not settled in the time given"),
        (failed("int8", 1, "killed"), "failed: killed"),
        (Trial("int8", 1, None, more=LEFT_OUT), "not tried: far from the best"),
    ],
)
def test_a_note_says_what_a_trial_came_to(trial: Trial, words: str) -> None:
    (result,) = Lab().results(trial)
    assert note(result) == words


def test_what_a_search_left_out_takes_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    stdout.cache_clear()
    camera = {"scenario": "fixed-rate 30 fps", "deadlines": Deadlines(1 / 30, 900, 12)}
    streams = {"scenario": "throughput 4 streams", "throughput_per_second_interval": Bounded(123.4)}
    left_out = [Trial("int8", threads, None, more=LEFT_OUT) for threads in (4, 5)]
    print_results(Lab().results(replace(SWEEP[0], more=camera), replace(SWEEP[1], more=streams), *left_out))
    stdout.cache_clear()
    printed = capsys.readouterr().out
    assert "2 cells were not tried: far from the best" in printed
    assert "12/900" in printed
    assert "123 /s" in printed
    assert "int8" not in printed


def test_the_sum_of_medians_is_labelled_and_only_where_they_add_up() -> None:
    result, camera, untimed = Lab().results(
        replace(SWEEP[0], more=STAGES),
        replace(SWEEP[1], more={**STAGES, "scenario": "fixed-rate 30 fps"}),
        SWEEP[2],
    )
    ((name, seconds),) = _sums(result)
    assert name == "end to end (sum of three medians)"
    assert str(seconds).startswith("3")
    assert end_to_end_seconds(camera) is None
    assert _sums(untimed) == []
