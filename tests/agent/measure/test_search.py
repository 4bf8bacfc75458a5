"""The search over large sweeps: in stages, repeatable, within its time, and frank about what it left out."""

from __future__ import annotations

import importlib.util
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.measure.search import FINAL_SHARE, WHOLE_CELLS, Observed, Search
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.manifest import ArtifactRef, Variant
from tests.agent.measure.test_planner import cells as plan_cells
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from edgedyno.agent.measure.planner import Cell

ORT = RuntimeInfo("onnxruntime", "1.31.1", available=True, formats=["onnx"])
NCNN = RuntimeInfo("ncnn", "1.0", available=True, formats=["onnx"])
PRECISIONS: list[Any] = ["fp32", "fp16", "int8"]
VARIANTS = [Variant(name, "onnx", ArtifactRef(name.ljust(64, "0"), 1)) for name in PRECISIONS]


def sweep(
    cpus: int = 64, cores: list[str] | None = None, runtimes: list[RuntimeInfo] | None = None
) -> list[Cell]:
    trials, _ = plan_cells(
        *VARIANTS,
        cpus=cpus,
        runtimes=runtimes or [ORT, NCNN],
        threads=[*range(1, 17), *range(20, cpus, 4), "all"],
        cores=cores or ["all", "big", "little"],
    )
    return trials


def by_threads(cell: Cell) -> float:
    """Return a cost with its valley at 12 threads."""
    return 1 / min(cell.threads, 12) + 0.01 * max(0, cell.threads - 12)


def follow(
    search: Search, cost: Callable[[Cell], float | None], *, seconds: float = 1.0, size: int = 16
) -> dict[str, Observed]:
    """Race what the search asks for, group by group."""
    seen: dict[str, Observed] = {}
    while waiting := search.next_cells(seen):
        fresh = [cell for cell in waiting if cell.trial not in seen]
        assert fresh == waiting
        assert len({cell.trial for cell in waiting}) == len(waiting)
        seen |= {cell.trial: Observed(cost(cell), seconds, 100 * seconds) for cell in waiting[:size]}
    return seen


def test_a_small_sweep_is_tried_in_full_and_in_its_order() -> None:
    trials = sweep(cpus=4)[:WHOLE_CELLS]
    search = Search(trials, 0.0, random.Random(1))
    assert search.next_cells({}) == trials
    seen = follow(search, by_threads)
    assert len(seen) == len(trials)
    assert search.untried(seen) == []
    assert search.finalists(seen) == []


def test_a_large_sweep_that_fits_the_time_is_tried_in_full() -> None:
    trials = sweep()
    search = Search(trials, 100.0 * len(trials) / (1 - FINAL_SHARE) + 1, random.Random(1))
    assert len(follow(search, by_threads)) == len(trials)


def test_otherwise_the_best_is_found_in_a_fraction_and_the_rest_is_named() -> None:
    trials = sweep()
    search = Search(trials, 200.0, random.Random(1))
    seen = follow(search, by_threads)
    assert len(trials) > 300
    assert len(seen) < 130
    best = {cell.trial: cell for cell in trials}[min(seen, key=lambda trial: seen[trial].cost or 9)]
    assert best.threads == 12
    untried = search.untried(seen)
    assert {cell.trial for cell, _ in untried} | seen.keys() == {cell.trial for cell in trials}
    for cell, failure in untried:
        assert failure.code == "search.not_tried"
        assert f"the sweep has {len(trials)} cells" in failure.text
        assert "the best of those tried: 12 threads on" in failure.text
        assert f"on {cell.cores!r}" in failure.text


def test_every_variant_and_runtime_is_tried_even_without_time() -> None:
    trials = sweep()
    seen = follow(Search(trials, 0.0, random.Random(1)), by_threads, size=4)
    tried = [cell for cell in trials if cell.trial in seen]
    assert len({(cell.runtime, cell.variant.precision) for cell in tried}) == 6


def test_time_is_kept_by_the_pace_so_far() -> None:
    trials = sweep()
    for budget in (60.0, 100.0, 200.0):
        search = Search(trials, budget, random.Random(1))
        assert len(follow(search, by_threads)) <= max(22, budget * (1 - FINAL_SHARE))


def test_the_same_seed_goes_the_same_way_after_an_interruption() -> None:
    trials = sweep()
    whole = follow(Search(trials, 200.0, random.Random("a")), by_threads)
    again: dict[str, Observed] = {}
    while waiting := Search(trials, 200.0, random.Random("a")).next_cells(again):
        again |= {cell.trial: Observed(by_threads(cell), 1.0, 100.0) for cell in waiting[:16]}
    assert list(again) == list(whole)
    other = follow(Search(trials, 200.0, random.Random("b")), by_threads)
    assert list(other) != list(whole)


def test_a_variant_that_fails_hands_the_lead_to_the_next() -> None:
    trials = sweep(runtimes=[ORT])
    search = Search(trials, 200.0, random.Random(1))
    seen = follow(search, lambda cell: None if cell.variant.precision == "fp32" else by_threads(cell))
    tried = [cell for cell in trials if cell.trial in seen]
    assert sum(cell.variant.precision == "fp32" for cell in tried) < 16  # the first group only
    assert 12 in {cell.threads for cell in tried if cell.variant.precision == "int8"}
    texts = [failure.text for cell, failure in search.untried(seen) if cell.variant.precision == "fp32"]
    assert "none of them worked" in texts[0]


def test_when_nothing_works_the_search_ends() -> None:
    seen = follow(Search(sweep(), 200.0, random.Random(1)), lambda _: None)
    assert len(seen) == 16  # the first group


def test_of_alike_core_sets_two_are_tried_and_the_rest_is_told_so() -> None:
    make = bench().make_cells
    trials = make(bench().SERVER, 1)
    search = Search(trials, 300.0, random.Random(1))
    seen = follow(search, lambda cell: 1 / cell.threads)
    clusters = {cell.cores for cell in trials if cell.trial in seen and cell.cores.startswith("cluster")}
    assert "cluster0" in clusters
    assert 2 <= len(clusters) <= 5  # a probe may hit others
    texts = [f.text for cell, f in search.untried(seen) if cell.cores.startswith("cluster")]
    assert any("stood for its kind" in text for text in texts)


def test_finalists_hold_the_best_of_each_variant_and_runtime() -> None:
    trials = sweep()
    search = Search(trials, 200.0, random.Random(1))
    seen = follow(search, by_threads)
    finalists = search.finalists(seen)
    assert len(finalists) <= WHOLE_CELLS
    assert len({(cell.runtime, cell.variant.precision) for cell in finalists}) == 6
    assert all(cell.threads == 12 for cell in finalists[:6])


_LOADED: dict[str, ModuleType] = {}


def bench() -> Any:
    """Load benchmarks/search.py, which holds the landscapes."""
    if not _LOADED:
        spec = importlib.util.spec_from_file_location("search_benchmark", ROOT / "benchmarks/search.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules["search_benchmark"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _LOADED["search"] = module
    return _LOADED["search"]


@pytest.mark.parametrize(
    ("name", "within"),
    [("Amdahl, NUMA", 0.9), ("a dip", 0.9), ("second valley", 0.9), ("plateau", 0.9), ("big.LITTLE", 0.9)],
)
def test_simulated_landscapes(name: str, within: float) -> None:
    board, landscape = bench().LANDSCAPES[name]
    outcomes = [bench().simulate(board, landscape, seed) for seed in range(12)]
    assert sum(each.loss <= 1.03 for each in outcomes) >= within * len(outcomes)
    if board is bench().SERVER:
        assert max(each.tried for each in outcomes) < 0.1 * outcomes[0].cells


def test_int8_that_scales_worse_is_found_where_it_is_good() -> None:
    """Its best thread count is not the leader's, and three neighbours lie within the noise: 5 % are allowed."""
    board, landscape = bench().LANDSCAPES["INT8 scales worse"]
    outcomes = [bench().simulate(board, landscape, seed) for seed in range(12)]
    assert all(each.loss <= 1.05 for each in outcomes)
    assert all(each.worst_family_loss <= 1.1 for each in outcomes)
