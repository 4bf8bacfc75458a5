"""Compare boards of one type on the same trials: name the one that is slower, hotter or hungrier than its siblings.

Each board is held against all others of its type, trial by trial, with its own interval, theirs, and how far
they differ among themselves; the error over everything that is compared together is bounded. Results and
capabilities in, findings out: no store, no numpy. Not responsible for the words (siblings_text).
"""

from __future__ import annotations

import math
import re
from statistics import fmean, median, variance
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from edgedyno.controller.lab.siblings_conditions import Differing, differing
from edgedyno.core.student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedyno.core.board import Capabilities
    from edgedyno.core.result import Result

Quantity = Literal["latency", "energy", "temperature", "throttling"]

LEAST_SIBLINGS = 3  # boards of one type on one trial, the one that is judged included
FAMILY_ERROR = 0.05  # over all boards, trials and quantities that are compared together
# Less than this nobody acts on, and an execution's interval does not hold the days between two executions.
LEAST_RATIO = 0.01
LEAST_CELSIUS = 3.0
# Sensors of one type differ by a degree or two, and so do places on one table.
CELSIUS_ERROR = 1.5
_INTERVAL_WIDTH = 2 * 1.959964  # of a 95 % interval, in standard errors
_KNOWN_DEGREES = 30.0  # of a board's own interval: it comes from hundreds of inferences
_MANY = 4  # from so many siblings on the spread is taken robustly: one more odd board must not hide this one
_MAD_TO_SIGMA = 1.4826
_MAD_EFFICIENCY = 0.37  # of the standard deviation's, for normal values: so many fewer degrees
# For 4 to 9 values, beyond which n / (n - 0.8) serves (Croux and Rousseeuw 1992).
_MAD_SMALL = {4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
# Boards of one type differ by so much though nothing is wrong with any: chips, temperatures, days.
USUAL_SPREAD = {"latency": 0.003, "energy": 0.01, "temperature": 0.0}
_MEDIAN_VARIANCE = math.pi / 2  # of the mean's, for normal values
_REVISION = re.compile(r"\s+Rev(ision)?\.?\s*[\w.]+", re.IGNORECASE)


class Outlier(Struct, frozen=True):
    """A board that differs from its siblings in one quantity."""

    board: str
    type: str
    """What the boards have in common, for people."""
    quantity: Quantity
    siblings: list[str]
    trials: int
    """In how many of the compared trials."""
    of_trials: int
    difference: float | None = None
    """Latency and energy: ratio to the siblings' middle less 1; temperature: degrees. None for throttling."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the difference in a typical trial."""
    here: float | None = None
    """Degrees Celsius of the board, for temperature."""
    differs: list[Differing] = []
    """Conditions that are other ones here than on every sibling."""


class Comparison(Struct, frozen=True):
    """What came of comparing."""

    outliers: list[Outlier]
    compared: list[str]
    """Boards that had enough siblings."""
    alone: dict[str, str]
    """Boards that could not be compared, and why."""
    tests: int
    family_error: float = FAMILY_ERROR


class _Value(NamedTuple):
    value: float
    error: float


class _Verdict(NamedTuple):
    difference: float
    error: float
    degrees: float
    excess: float
    """By how many standard errors beyond the bound; positive: it is named."""


def type_of(capabilities: Capabilities) -> str:
    """Return what boards of one type share: profile, name without the revision, and the cores' kinds.

    Clock limits, offline CPUs, memory and system may differ: they are what a difference is explained by.
    """
    name = _REVISION.sub("", capabilities.name).strip()
    cores = sorted({cluster.core or "" for cluster in capabilities.cpu.clusters} - {""})
    kinds = f", {' and '.join(cores)}" if cores else ""
    return f"{name} ({capabilities.profile}{kinds})"


def compare_boards(results: Sequence[Result], boards: Mapping[str, Capabilities]) -> Comparison:
    """Compare boards of one type on the trials that they share; of a board's results of one trial the last counts."""
    types = {name: type_of(found) for name, found in boards.items()}
    cells = _cells(results, types)
    tables = {
        "latency": {key: _latencies(cell) for key, cell in cells.items()},
        "energy": {
            (*key, source): values
            for key, cell in cells.items()
            for source, values in _energies(cell).items()
        },
        "temperature": _temperatures(cells),
    }
    enough = {
        quantity: {key: values for key, values in table.items() if len(values) >= LEAST_SIBLINGS}
        for quantity, table in tables.items()
    }
    tests = sum(len(values) for table in enough.values() for values in table.values())
    outliers: list[Outlier] = []
    for quantity, table in enough.items():
        outliers += _outliers(quantity, table, tests, cells, boards)  # type: ignore[arg-type]
    outliers += _throttling(cells, boards)
    compared = sorted({board for table in enough.values() for values in table.values() for board in values})
    return Comparison(
        outliers=sorted(outliers, key=lambda each: (each.board, each.quantity)),
        compared=compared,
        alone=_alone(results, types, set(compared)),
        tests=tests,
    )


_Key = tuple[str, ...]
_Cell = dict[str, "Result"]


def _cells(results: Iterable[Result], types: Mapping[str, str]) -> dict[_Key, _Cell]:
    """Gather the results of the same trial on boards of one type."""
    cells: dict[_Key, _Cell] = {}
    for result in results:
        kind = types.get(result.board)
        if kind is None or result.status != "ok":
            continue
        key = (
            kind,
            result.variant_sha256 or f"{result.format} {result.precision}",
            result.runtime,
            result.runtime_version or "",
            str(result.threads),
            result.cores,
            str(result.batch),
            result.scenario,
        )
        cells.setdefault(key, {})[result.board] = result
    return cells


def _latencies(cell: _Cell) -> dict[str, _Value]:
    """Return logarithms of medians; a void result is never compared."""
    values = {}
    for board, result in cell.items():
        latency = result.latency_seconds
        if latency and result.validity.valid and latency.p50_low and latency.p50_high:
            values[board] = _logarithm(latency.p50, latency.p50_low, latency.p50_high)
    return values


def _energies(cell: _Cell) -> dict[str, dict[str, _Value]]:
    """Return logarithms of energies by source and scope: meters of two scopes are never compared."""
    values: dict[str, dict[str, _Value]] = {}
    for board, result in cell.items():
        energy = result.energy_joules_per_inference
        if energy and result.validity.valid and min(energy.value, energy.low) > 0:
            found = values.setdefault(f"{energy.source} {energy.scope}", {})
            found[board] = _logarithm(energy.value, energy.low, energy.high)
    return values


def _logarithm(value: float, low: float, high: float) -> _Value:
    return _Value(math.log(value), math.log(high / low) / _INTERVAL_WIDTH)


def _temperatures(cells: Mapping[_Key, _Cell]) -> dict[_Key, dict[str, _Value]]:
    """Return each board's mean over the trials that all boards of its type share, of the zones they share.

    One value for each board: the temperatures of one board's trials are not independent of each other.
    """
    found: dict[_Key, dict[str, list[float]]] = {}
    for key, cell in cells.items():
        warm = {board: each.conditions.temperature_celsius for board, each in cell.items()}
        warm = {board: zones for board, zones in warm.items() if zones}
        if len(warm) < LEAST_SIBLINGS:
            continue
        shared = set.intersection(*(set(zones) for zones in warm.values()))
        for board, zones in warm.items():
            if shared:
                group = found.setdefault((key[0],), {})
                group.setdefault(board, []).append(max(zones[name] for name in shared))
    return {
        key: {
            board: _Value(fmean(values), CELSIUS_ERROR)
            for board, values in group.items()
            if len(values) == max(map(len, group.values()))
        }
        for key, group in found.items()
    }


def _outliers(
    quantity: Quantity,
    table: Mapping[_Key, Mapping[str, _Value]],
    tests: int,
    cells: Mapping[_Key, _Cell],
    boards: Mapping[str, Capabilities],
) -> list[Outlier]:
    """Judge every board on every trial; what is found on several trials is one finding."""
    hits: dict[tuple[str, str], list[tuple[_Key, _Verdict]]] = {}
    seen: dict[tuple[str, str], int] = {}
    for key, values in table.items():
        for board in values:
            seen[key[0], board] = seen.get((key[0], board), 0) + 1
            verdict = _judge(board, values, tests, quantity)
            if verdict.excess > 0:
                hits.setdefault((key[0], board), []).append((key, verdict))
    outliers = []
    for (kind, board), found in hits.items():
        found.sort(key=lambda hit: hit[1].difference)
        key, typical = found[len(found) // 2]
        siblings = sorted(set(table[key]) - {board})
        outliers.append(
            Outlier(
                board=board,
                type=kind,
                quantity=quantity,
                siblings=siblings,
                trials=len(found),
                of_trials=seen[kind, board],
                **_figures(quantity, typical, table[key][board]),
                differs=differing(board, siblings, _evidence(cells, key, kind), boards),
            )
        )
    return outliers


def _evidence(cells: Mapping[_Key, _Cell], key: _Key, kind: str) -> _Cell:
    """Return the trial that a finding rests on; for temperatures, which rest on all, the one with most boards."""
    of_trial = next((cell for name, cell in cells.items() if key[: len(name)] == name), None)
    own = [cell for name, cell in cells.items() if name[0] == kind]
    return of_trial or max(own, key=len)


def _figures(quantity: Quantity, verdict: _Verdict, value: _Value) -> dict[str, float]:
    half = student_quantile(0.975, verdict.degrees) * verdict.error
    if quantity == "temperature":
        return {
            "difference": verdict.difference,
            "low": verdict.difference - half,
            "high": verdict.difference + half,
            "here": value.value,
        }
    return {
        "difference": math.expm1(verdict.difference),
        "low": math.expm1(verdict.difference - half),
        "high": math.expm1(verdict.difference + half),
    }


def _judge(board: str, values: Mapping[str, _Value], tests: int, quantity: Quantity) -> _Verdict:
    """Hold one board against the others: one-sided, at its share of the family's error."""
    own = values[board]
    others = [value for name, value in values.items() if name != board]
    count = len(others)
    middle = median(other.value for other in others)
    within = fmean(other.error**2 for other in others)
    spread, degrees = _spread([other.value for other in others])
    usual = USUAL_SPREAD[quantity] ** 2
    between = max(0.0, spread - within - usual)
    factor = 1.0 if count < LEAST_SIBLINGS else _MEDIAN_VARIANCE
    known = own.error**2 + usual + factor * (within + usual) / count
    guessed = between * (1 + factor / count)
    total = known + guessed
    error = math.sqrt(total)
    difference = own.value - middle
    freedom = total**2 / (known**2 / _KNOWN_DEGREES + guessed**2 / degrees) if total else _KNOWN_DEGREES
    bound = student_quantile(1 - FAMILY_ERROR / max(1, tests), freedom) * error
    least = LEAST_CELSIUS if quantity == "temperature" else math.log1p(LEAST_RATIO)
    return _Verdict(difference, error, freedom, difference - max(bound, least))


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the variance between boards, and the degrees of freedom that it is known with."""
    if len(values) < _MANY:
        return variance(values), len(values) - 1.0
    centre = median(values)
    correction = _MAD_SMALL.get(len(values), len(values) / (len(values) - 0.8))
    deviation = correction * _MAD_TO_SIGMA * median(abs(value - centre) for value in values)
    return deviation**2, max(1.0, _MAD_EFFICIENCY * (len(values) - 1))


def _throttling(cells: Mapping[_Key, _Cell], boards: Mapping[str, Capabilities]) -> list[Outlier]:
    """Name boards that throttled in trials in which no sibling did: a fact, no estimate."""
    hits: dict[tuple[str, str], list[_Cell]] = {}
    seen: dict[tuple[str, str], int] = {}
    for key, cell in cells.items():
        known = {board: each.conditions.throttled for board, each in cell.items()}
        visible = {board: flag for board, flag in known.items() if flag is not None}
        if len(visible) < LEAST_SIBLINGS:
            continue
        for board in visible:
            seen[key[0], board] = seen.get((key[0], board), 0) + 1
        hot = [board for board, flag in visible.items() if flag]
        if len(hot) == 1:
            hits.setdefault((key[0], hot[0]), []).append(cell)
    return [
        Outlier(
            board=board,
            type=kind,
            quantity="throttling",
            siblings=sorted(set(found[0]) - {board}),
            trials=len(found),
            of_trials=seen[kind, board],
            differs=differing(board, sorted(set(found[0]) - {board}), found[0], boards),
        )
        for (kind, board), found in hits.items()
    ]


def _alone(results: Iterable[Result], types: Mapping[str, str], compared: set[str]) -> dict[str, str]:
    """Return why the other boards with results were not compared."""
    reasons = {}
    for board in sorted({result.board for result in results} - compared):
        if board not in types:
            reasons[board] = "what is on this board is not known"
            continue
        same = sum(kind == types[board] for kind in types.values())
        reasons[board] = (
            f"there are {same} boards of its type, expected {LEAST_SIBLINGS}"
            if same < LEAST_SIBLINGS
            else f"fewer than {LEAST_SIBLINGS} boards of its type have a valid result of one trial"
        )
    return reasons
