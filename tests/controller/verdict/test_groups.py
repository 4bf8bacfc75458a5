"""Which deployment to choose for several boards. All results are synthetic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.verdict import GroupVerdict, group_lines, judge, judge_groups, summary_lines
from edgedyno.core.job import JobSpec, Require, Sweep
from tests.controller.synthetic import Lab, Trial, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.job import Goal
    from edgedyno.core.result import Result

SAME = (0.0, 0.0, 0.0)
FINE = (0.004, 0.002, 0.006)


def on(board: str, cpus: int, *trials: Trial, seed: int = 1) -> tuple[Lab, list[Result]]:
    lab = Lab(seed=seed, board=board)
    placed = [replace(trial, more={**trial.more, "cpus": list(range(cpus))}) for trial in trials]
    return lab, lab.results(*placed)


def group_of(
    *boards: tuple[Lab, list[Result]],
    goal: Goal = "latency",
    types: dict[str, str] | None = None,
    **require: float,
) -> list[GroupVerdict]:
    results = [result for _, found in boards for result in found]
    artifacts = {sha: data for lab, _ in boards for sha, data in lab.artifacts.items()}
    spec = JobSpec(
        name="synthetic", model="synthetic_net", goal=goal,
        sweep=Sweep(threads=[1, 2, "all"]), require=Require(**require),
    )  # fmt: skip
    verdicts = judge(results, spec=spec, read=artifacts.__getitem__)
    return judge_groups(verdicts, results, spec, types=types)


def pi(*, drop: Sequence[float] = FINE, seed: int = 1) -> tuple[Lab, list[Result]]:
    return on(
        "pi", 4,
        Trial("fp32", 2, 0.040, 0.242, SAME), Trial("fp32", 4, 0.030, 0.242, SAME),
        Trial("int8", 2, 0.020, 0.238, (drop[0], drop[1], drop[2])),
        seed=seed,
    )  # fmt: skip


def rock() -> tuple[Lab, list[Result]]:
    return on(
        "rock", 8,
        Trial("fp32", 2, 0.020, 0.242, SAME), Trial("fp32", 8, 0.008, 0.242, SAME),
        Trial("int8", 2, 0.024, 0.238, FINE),
        seed=2,
    )  # fmt: skip


def test_the_best_worst_board_wins_and_is_named() -> None:
    (group,) = group_of(pi(), rock(), accuracy_drop=0.01)
    assert group.answer == "recommended"
    assert group.boards == ["pi", "rock"]
    assert group.boards_with_answer == 2
    assert group.recommended == "INT8 · 2 threads"
    best = group.choices[0]
    assert (best.status, best.meets, best.share, best.worst_board) == ("recommended", 2, 1.0, "rock")
    assert group.headline.startswith(
        "Use INT8 · 2 threads on all 2 boards: it meets every requirement on each. By speed its worst board is rock "
        "(median 24"
    )


def test_all_threads_is_one_deployment_on_boards_of_different_sizes() -> None:
    (group,) = group_of(pi(), rock())
    everything = next(choice for choice in group.choices if choice.label == "FP32 · all threads")
    assert [(one.board, one.status) for one in everything.boards] == [
        ("pi", "acceptable"),
        ("rock", "recommended"),
    ]
    trials = {one.trial for one in everything.boards}
    assert len(trials) == 2


def test_what_one_board_did_not_run_is_not_recommended_for_all() -> None:
    lonely = on("rock", 8, Trial("fp32", 2, 0.020, 0.242, SAME), seed=2)
    (group,) = group_of(pi(), lonely)
    int8 = next(choice for choice in group.choices if choice.precision == "int8")
    assert int8.status == "undecided"
    assert int8.reasons == ["rock: it did not run there"]
    assert group.recommended == "FP32 · 2 threads"


def test_none_everywhere_names_the_nearest_and_where_it_fails() -> None:
    (group,) = group_of(pi(), rock(), latency_p50=0.022)
    assert (group.answer, group.recommended, group.nearest) == ("none meets", None, "INT8 · 2 threads")
    assert "No single deployment meets every requirement on all 2 boards" in group.headline
    assert "on 1 of 2: rock: median latency 24" in group.headline
    assert group.boards_with_answer == 2, "each board has an answer of its own"
    assert group.brief == "none on all boards; nearest is INT8 · 2 threads, on 1 of 2"


def test_the_goal_decides_for_the_group_too() -> None:
    (group,) = group_of(pi(), rock(), goal="accuracy")
    assert group.recommended is not None
    assert group.recommended.startswith("FP32")


def test_a_board_that_gave_nothing_leaves_the_group_undecided() -> None:
    (group,) = group_of(pi(), on("rock", 8, failed("fp32", 2), failed("int8", 2), seed=2))
    assert group.answer == "cannot tell"
    assert "the worker was killed by signal 11" in group.headline


def test_types_of_boards_get_a_verdict_each_where_there_are_several() -> None:
    third = on("pi2", 4, *[Trial("int8", 2, 0.021, 0.238, FINE)], seed=3)
    types = {"pi": "rpi4", "pi2": "rpi4", "rock": "rk3588"}
    groups = group_of(pi(), rock(), third, types=types)
    assert [(group.board_type, group.boards) for group in groups] == [
        (None, ["pi", "pi2", "rock"]),
        ("rpi4", ["pi", "pi2"]),
    ]
    one_type = group_of(pi(), third, types=dict.fromkeys(("pi", "pi2"), "rpi4"))
    assert [group.board_type for group in one_type] == [None]


def test_one_board_is_no_group() -> None:
    assert group_of(pi()) == []


def test_the_words_fit_and_the_data_survives_json() -> None:
    groups = group_of(pi(), rock(), accuracy_drop=0.01)
    lines = group_lines(groups[0])
    assert lines[0] == "synthetic_net on all 2 boards: RECOMMENDED"
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("recommended") and "2 of 2" in line for line in lines)
    assert (
        summary_lines([], groups)[1]
        == "  synthetic_net on all 2 boards  use INT8 · 2 threads on all 2 boards"
    )
    assert msgspec.json.decode(msgspec.json.encode(groups), type=list[GroupVerdict]) == groups
