"""The agenda of one execution: worked out from the journal, so that an interrupted run goes on the same way."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.measure.agenda import Agenda
from edgedyno.agent.measure.journal import Journal
from edgedyno.agent.measure.observed import observe
from edgedyno.agent.measure.search import WHOLE_CELLS
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Failure, Manifest
from edgedyno.core.result import Burst
from tests.agent.measure.requests import MODEL
from tests.agent.measure.test_search import by_threads, sweep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.agent.measure.planner import Cell

CELLS = sweep(cpus=32)
BLOCKS = 10


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def agenda(journal: Journal, cells: Sequence[Cell] = CELLS, **arguments: Any) -> Agenda:
    arguments.setdefault("done", [])
    seconds = arguments.pop("seconds", 400.0)
    manifest = Manifest("j", "j.b", MODEL, [], Sweep(), Measure(precision=0.001, max_seconds=seconds))
    return Agenda(cells, manifest, journal, **arguments)


def race(journal: Journal, group: Sequence[Cell], first_block: int, chance: random.Random) -> int:
    """Write what a race of these trials would have: bursts in common blocks, with drift and noise."""
    for cell in group:
        log = journal.trial(cell.trial)
        for block in range(first_block, first_block + BLOCKS):
            seconds = 0.01 * by_threads(cell) * (1 + 0.1 * (block // 50)) * chance.uniform(0.98, 1.02)
            log.bursts.append(Burst(block, float(block), [seconds] * 3))
        log.load_seconds, log.finished = 1.0, True
        journal.save_trial(log)
    return first_block + BLOCKS


def run_all(journal: Journal, *, groups: int = 100) -> list[str]:
    """Race group by group with a fresh agenda each time, as if the runner had been killed between them."""
    order: list[str] = []
    block = max((b.block + 1 for cell in CELLS for b in journal.trial(cell.trial).bursts), default=0)
    for _ in range(groups):
        now = agenda(journal)
        waiting = now.waiting(spent_seconds=0.0)[:8]
        if not waiting:
            break
        reference = now.reference()
        group = [reference, *(cell for cell in waiting if cell.trial != reference.trial)]
        block = race(journal, group, block, random.Random(block))
        order += [cell.trial for cell in waiting]
    return order


def test_a_fresh_agenda_for_each_group_goes_the_same_way(tmp_path: Path) -> None:
    whole, parts = Journal(tmp_path / "whole"), Journal(tmp_path / "parts")
    order = run_all(whole)
    begun = run_all(parts, groups=5)
    assert begun == order[: len(begun)]
    assert begun + run_all(parts) == order


def test_finalists_meet_in_common_blocks_and_the_rest_is_left_out(journal: Journal) -> None:
    order = run_all(journal)
    now = agenda(journal)
    assert now.waiting(0.0) == []
    assert order[-len(now.finalists) :] != []
    blocks = [{burst.block for burst in journal.trial(trial).bursts} for trial in now.finalists]
    assert len(blocks) >= 6
    assert now.finalists == journal.run().finalists
    left_out = now.left_out()
    assert len(left_out) + len(set(order)) == len(CELLS)
    assert {cell.failure.code for cell in left_out if cell.failure} == {"search.not_tried"}
    best = min(set(order), key=lambda trial: min(b.latency_seconds[0] for b in journal.trial(trial).bursts))
    assert best in now.finalists


def test_without_time_each_variant_is_tried_once_on_each_runtime_and_nothing_more(journal: Journal) -> None:
    first = agenda(journal).waiting(spent_seconds=399.5)
    assert first
    assert len({(cell.variant_sha256, cell.runtime) for cell in first}) == len(first)
    assert {cell.variant_sha256 for cell in first} == {cell.variant_sha256 for cell in CELLS}
    race(journal, first, 0, random.Random(1))
    now = agenda(journal)
    assert now.waiting(spent_seconds=399.5) == []
    assert now.finalists == []
    assert len(now.left_out()) == len(CELLS) - len(first)


def test_a_small_sweep_is_raced_even_when_time_is_up(journal: Journal) -> None:
    few = CELLS[:WHOLE_CELLS]
    now = agenda(journal, few, seconds=1.0)
    assert now.waiting(spent_seconds=50.0) == few
    assert now.groups_left(waiting=4, size=4) == 2


def test_the_reference_is_the_first_that_works(journal: Journal) -> None:
    first = agenda(journal).reference()
    assert first == agenda(journal).waiting(0.0)[0]
    log = journal.trial(first.trial)
    log.failure, log.finished = Failure("worker.crashed", "gone"), True
    journal.save_trial(log)
    second = agenda(journal).reference()
    assert second != first
    race(journal, [CELLS[40]], 0, random.Random(1))
    assert agenda(journal).reference() in (second, CELLS[40])


def test_trials_that_have_their_result_are_not_raced_again(journal: Journal) -> None:
    few = CELLS[:4]
    now = agenda(journal, few, done=[few[0].trial, few[2].trial])
    assert now.waiting(0.0) == [few[1], few[3]]
    assert now.reference() == few[1]


def test_cost_is_relative_to_the_reference_even_when_the_machine_drifted(journal: Journal) -> None:
    reference, other = CELLS[0], CELLS[3]
    race(journal, [reference], 0, random.Random(1))
    race(journal, [reference, other], 200, random.Random(2))
    seen = observe(journal.trial(other.trial), journal.trial(reference.trial), precision=0.02)
    assert seen.cost == pytest.approx(by_threads(other) / by_threads(reference), rel=0.02)
    assert seen.spent_seconds == pytest.approx(1.0, abs=0.5)
    itself = observe(journal.trial(reference.trial), journal.trial(reference.trial), precision=0.02)
    assert itself.cost == 1.0
    tight = observe(journal.trial(other.trial), journal.trial(reference.trial), precision=0.0001)
    assert tight.needed_seconds > 10 * (seen.needed_seconds - 1.0)
    fresh = observe(journal.trial("none"), journal.trial(reference.trial), precision=0.02)
    assert fresh.cost is None
