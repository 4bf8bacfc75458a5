"""`edgedyno compare`: two runs, cell by cell; they were not interleaved, and the words say so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.cli.client import Controller
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.cli.places import read_results
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    from edgedyno.core.result import LatencySummary, Result

Cell = tuple[str, str, str, int, str, int]


class Change(Struct, frozen=True):
    """One cell in both runs; `ratio` is second / first with its 95 % interval."""

    model: str
    runtime: str
    precision: str
    threads: int
    cores: str
    first_p50_seconds: float
    second_p50_seconds: float
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    conclusion: str


def compare_results(first: str, second: str, *, url: str, as_json: bool) -> None:
    """Print the change of each cell that both runs measured."""
    before, after = (_cells(_load(place, url)) for place in (first, second))
    changes = [_change(cell, before[cell], after[cell]) for cell in before if cell in after]
    if not changes:
        raise ConfigError(
            f"{first} and {second} have no cell in common that both measured", code="compare.nothing"
        )
    if as_json:
        print_json(changes)
        return
    rows = [
        [
            change.model, change.runtime, change.precision, change.threads, change.cores,
            format_seconds(change.first_p50_seconds), format_seconds(change.second_p50_seconds),
            f"{change.ratio:.3f}", _interval(change), change.conclusion,
        ]
        for change in changes
    ]  # fmt: skip
    columns = (
        "model",
        "runtime",
        "precision",
        ">threads",
        "cores",
        ">first",
        ">second",
        ">ratio",
        "95 %",
        "",
    )
    print_table("", columns, rows)
    say("The two runs were not interleaved: a board that drifted between them shows here as a change.")


def _load(place: str, url: str) -> list[Result]:
    if Path(place).is_dir():
        return read_results(Path(place))
    with Controller(url) as controller:
        return controller.results(job=place)


def _cells(results: list[Result]) -> dict[Cell, LatencySummary]:
    return {
        (one.model, one.runtime, one.precision, one.threads, one.cores, one.batch): one.latency_seconds
        for one in results
        if one.latency_seconds is not None and one.validity.valid
    }


def _change(cell: Cell, first: LatencySummary, second: LatencySummary) -> Change:
    ratio = second.p50 / first.p50
    low, high = ratio_interval(first, second)
    model, runtime, precision, threads, cores, _ = cell
    return Change(
        model,
        runtime,
        precision,
        threads,
        cores,
        first.p50,
        second.p50,
        ratio,
        low,
        high,
        _conclude(low, high),
    )


def ratio_interval(first: LatencySummary, second: LatencySummary) -> tuple[float | None, float | None]:
    """Return the 95 % interval of second / first: both medians' log-errors in quadrature (delta method)."""
    ends = (first.p50_low, first.p50_high, second.p50_low, second.p50_high)
    if any(end is None or end <= 0 for end in ends):
        return None, None
    a_low, a_high, b_low, b_high = (math.log(end or 1.0) for end in ends)
    centre = math.log(second.p50 / first.p50)
    down = math.hypot(math.log(second.p50) - b_low, a_high - math.log(first.p50))
    up = math.hypot(b_high - math.log(second.p50), math.log(first.p50) - a_low)
    return math.exp(centre - down), math.exp(centre + up)


def _conclude(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "cannot tell: a median has no interval"
    if low > 1:
        return "second is slower"
    return "second is faster" if high < 1 else "no difference shown"


def _interval(change: Change) -> str:
    return "-" if change.ratio_low is None else f"{change.ratio_low:.3f} to {change.ratio_high:.3f}"
