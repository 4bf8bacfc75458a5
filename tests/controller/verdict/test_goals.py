"""What decides between deployments that meet every requirement."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import Verdict, judge, verdict_lines
from edgedyno.core.job import JobSpec, Require
from tests.controller.synthetic import SWEEP, Lab, Trial, metered
from tests.controller.verdict.test_scenarios import order

if TYPE_CHECKING:
    from edgedyno.core.job import Goal

SAME = (0.0, 0.0, 0.0)
FAST = Trial("int8", 2, 0.0090, 0.236, (0.006, 0.004, 0.008), more=metered(0.050, 5.0))
FRUGAL = Trial("fp32", 1, 0.0240, 0.242, SAME, more=metered(0.040, 2.0))
MIDDLE = Trial("fp16", 1, 0.0180, 0.242, SAME, more=metered(0.0405, 2.2))


def verdict_of(goal: Goal, *trials: Trial, **require: float) -> Verdict:
    lab = Lab()
    spec = JobSpec(name="synthetic", model="synthetic_net", goal=goal, require=Require(**require))
    (verdict,) = judge(lab.results(*trials), spec=spec, read=lab.read)
    return verdict


def test_speed_decides_unless_the_job_says_otherwise() -> None:
    assert order(verdict_of("latency", FAST, FRUGAL))[0] == "INT8 · 2 threads"
    verdict = verdict_of("throughput", FAST, FRUGAL)
    assert order(verdict)[0] == "INT8 · 2 threads"
    assert "/s, median 8.99 ms" in verdict.headline
    assert "the highest throughput" in verdict.headline


def test_the_least_energy_wins_over_speed_and_says_so() -> None:
    verdict = verdict_of("energy", FAST, FRUGAL)
    first, second = verdict.choices
    assert first.label == "FP32 · 1 thread"
    assert verdict.headline.startswith(
        "Use FP32 · 1 thread (energy per inference 40 mJ, 95 % interval 38.8 to 41.2 mJ"
    )
    assert "the lowest energy per inference of 2 trials" in verdict.headline
    assert (first.goal and first.goal.value, second.status) == (0.040, "acceptable")
    (reason,) = second.reasons
    assert reason == (
        "worse by the goal: energy per inference 50 mJ (95 % interval 48.5 to 51.5 mJ) against 40 mJ (95 % interval "
        "38.8 to 41.2 mJ)"
    )


def test_where_intervals_overlap_they_are_as_good_and_speed_decides() -> None:
    verdict = verdict_of("energy", FAST, FRUGAL, MIDDLE)
    assert order(verdict)[0] == "FP16 · 1 thread"
    assert (
        "as good by energy per inference as any other, as far as shown, and preferred for its speed"
        in verdict.headline
    )
    assert [choice.label for choice in verdict.choices if choice.trial in verdict.as_fast] == [
        "FP32 · 1 thread"
    ]
    assert "as good as the recommended one by the goal, as far as shown" in verdict.choices[1].reasons[0]


def test_a_goal_that_was_not_measured_decides_nothing() -> None:
    verdict = verdict_of("energy", *SWEEP[:2])
    assert verdict.answer == "cannot tell"
    assert "the goal is energy per inference, which is known of no trial" in verdict.headline
    assert "By speed alone it would be FP32 · 2 threads" in verdict.headline
    assert "this board has no power sensor" in verdict.headline
    assert verdict.choices[0].status == "undecided"
    assert max(map(len, verdict_lines(verdict))) <= 80


def test_one_trial_without_the_goals_quantity_does_not_stop_the_rest() -> None:
    verdict = verdict_of("energy", replace(FAST, more={}), FRUGAL)
    assert verdict.answer == "recommended"
    assert order(verdict)[0] == "FP32 · 1 thread"
    assert verdict.if_shown is None


def test_energy_of_another_scope_is_not_compared() -> None:
    wall = replace(FAST, more=metered(0.010, 5.0, scope="wall"))
    verdict = verdict_of("energy", wall, FRUGAL, MIDDLE)
    other = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert other.status == "undecided"
    assert "energy of wall is not compared with energy of package" in other.reasons[0]


def test_the_highest_accuracy_is_compared_on_the_same_images() -> None:
    worse = replace(FAST, drop=(0.030, 0.020, 0.040))
    verdict = verdict_of("accuracy", worse, FRUGAL, MIDDLE)
    assert order(verdict)[0] == "FP16 · 1 thread"
    assert "as good by accuracy drop as any other" in verdict.headline
    int8 = next(choice for choice in verdict.choices if choice.precision == "int8")
    assert "worse by the goal: accuracy drop 3 pt (95 % interval 2 to 4 pt) against 0 pt" in int8.reasons[0]


def test_the_smallest_file_and_memory() -> None:
    verdict = verdict_of("size", FAST, FRUGAL)
    assert order(verdict)[0] == "INT8 · 2 threads"
    assert "file size 310.0 kB" in verdict.headline
    assert "the smallest file" in verdict.headline
    small = replace(FRUGAL, more={**FRUGAL.more, "peak_rss_bytes": 30_000_000})
    assert order(verdict_of("memory", FAST, small))[0] == "FP32 · 1 thread"
    assert order(verdict_of("power", FAST, FRUGAL))[0] == "FP32 · 1 thread"


def test_requirements_come_before_the_goal() -> None:
    verdict = verdict_of("energy", FAST, FRUGAL, latency_p50=0.010)
    assert order(verdict)[0] == "INT8 · 2 threads"
    assert verdict.goal == "energy"


def test_what_may_be_better_by_the_goal_is_named() -> None:
    open_one = replace(FAST, drop=(0.006, -0.01, 0.03), more=metered(0.020, 5.0))
    verdict = verdict_of("energy", open_one, FRUGAL, accuracy_drop=0.01)
    assert verdict.if_shown == next(choice.trial for choice in verdict.choices if choice.precision == "int8")
    assert any(
        note.startswith("Best by energy per inference if the requirement on accuracy drop holds")
        for note in verdict.notes
    )
    assert verdict.brief.startswith("use FP32 · 1 thread; INT8: cannot tell, about ")


def test_a_miss_of_several_requirements_says_each_and_how_far() -> None:
    verdict = verdict_of("energy", FAST, latency_p50=0.008, accuracy_drop=0.001, power=4.0)
    assert verdict.answer == "none meets"
    assert "Nearest is INT8 · 2 threads" in verdict.headline
    assert "which misses 3 of them: median latency" in verdict.headline
    assert verdict.brief.startswith("none meets; nearest is INT8 · 2 threads: median latency")
