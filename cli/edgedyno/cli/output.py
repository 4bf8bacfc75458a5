"""What users read: data on stdout, words on stderr, tables in the terminal's width, JSON when asked."""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from edgedyno.core.precision import ran_otherwise
from edgedyno.core.result import NOT_TRIED
from edgedyno.core.stages import end_to_end_seconds
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.result import Result


@cache
def stdout() -> Console:
    """Return the console for data; it obeys NO_COLOR."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@cache
def stderr() -> Console:
    """Return the console for words and progress."""
    return Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Tell the user something that is not data."""
    stderr().print(text, markup=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Print any value of ours as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print rows under columns; a column whose name begins with `>` is aligned to the right."""
    names = list(columns)
    table = Table(
        title=title or None,
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
        show_header=any(names),
    )
    for column in names:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row))
    stdout().print(table)


RESULT_COLUMNS = (
    "board", "model", "runtime", "variant", "precision", ">threads", "cores", ">p50", "±", ">accuracy",
    ">drop", ">end to end", ">missed", ">throughput", ">slowdown", "energy", "note",
)  # fmt: skip


def result_row(result: Result) -> list[object]:
    """Return one result in the columns of RESULT_COLUMNS."""
    latency, accuracy, drop, energy = (
        result.latency_seconds,
        result.accuracy,
        result.accuracy_drop,
        result.energy_joules_per_inference,
    )
    return [
        result.board,
        result.model,
        result.runtime,
        result.variant,
        _precision(result),
        result.threads,
        result.cores,
        format_seconds(latency.p50) if latency else None,
        _half_width(result),
        f"{accuracy.value:.3f}" if accuracy else None,
        f"{drop.value * 100:.1f} pt" if drop else None,
        format_seconds(end_to_end) if (end_to_end := end_to_end_seconds(result)) else None,
        *_scenario_cells(result),
        f"{energy.value * 1e3:.3g} mJ" if energy else None,
        note(result),
    ]


def _scenario_cells(result: Result) -> tuple[str | None, str | None, str | None]:
    """Return missed deadlines, throughput and slowdown, each where it is what the scenario measures."""
    deadlines, rate, soak = result.deadlines, result.throughput_per_second_interval, result.soak
    return (
        f"{deadlines.missed}/{deadlines.arrivals}" if deadlines else None,
        f"{rate.value:.3g} /s" if rate else None,
        f"x{soak.slowdown.value:.2f}" if soak else None,
    )


def _precision(result: Result) -> str:
    ran = ran_otherwise(result)
    return result.precision if ran is None else f"{result.precision} (ran {ran})"


def _half_width(result: Result) -> str | None:
    latency = result.latency_seconds
    if latency is None or latency.p50_low is None or latency.p50_high is None:
        return None
    return f"{(latency.p50_high - latency.p50_low) / 2 / latency.p50:.1%}"


def note(result: Result) -> str:
    """Say in a few words what a reader must know of a result before believing its numbers."""
    if result.failure is not None:
        status = "not tried" if result.failure.code == NOT_TRIED else result.status
        return f"{status}: {result.failure.text}"
    if not result.validity.valid:
        return "void: " + "; ".join(result.validity.reasons)
    if result.eliminated:
        return "eliminated: beaten beyond doubt"
    return "not settled in the time given" if result.settled is False else ""


def _runtime(result: Result, others: Iterable[Result]) -> str:
    """Write the runtime, with its version where there are several of it."""
    versions = {other.runtime_version for other in others if other.runtime == result.runtime}
    several = len(versions) > 1 and result.runtime_version
    return f"{result.runtime} {result.runtime_version}" if several else result.runtime


def print_results(results: list[Result], *, title: str = "") -> None:
    """Print results as a table, without the columns that say the same or nothing in every row.

    What a search left out is told in one line beneath.
    """
    left_out = [one.failure.text for one in results if one.failure and one.failure.code == NOT_TRIED]
    tried = [result for result in results if not (result.failure and result.failure.code == NOT_TRIED)]
    rows = [result_row(result) for result in tried]
    for row, result in zip(rows, tried, strict=True):
        row[RESULT_COLUMNS.index("runtime")] = _runtime(result, tried)
    names = list(RESULT_COLUMNS)
    dull = {
        index
        for index, name in enumerate(names)
        if all(row[index] in (None, "") for row in rows)
        or (
            name in ("board", "model", "cores", "runtime", "variant")
            and len({row[index] for row in rows}) == 1
        )
    }
    shown = [index for index in range(len(names)) if index not in dull]
    print_table(title, [names[i] for i in shown], [[row[i] for i in shown] for row in rows])
    if left_out:
        (most, _), *others = Counter(left_out).most_common()
        more = f" ({len(others)} other reasons)" if others else ""
        stdout().print(f"{len(left_out)} cells were not tried: {most}{more}", markup=False, soft_wrap=True)
