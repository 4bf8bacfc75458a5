"""Takes the exporter's snapshots. Results of ended executions are read once, not at every scrape."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, get_args

import msgspec
from msgspec import Struct

from edgedyno.controller.exporter import Cell, Snapshot, cell_of
from edgedyno.controller.lab.siblings import Quantity, compare_boards
from edgedyno.controller.rollout.metrics import read_views
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.store import boards, executions, jobs, results
from edgedyno.controller.verdict_metrics import ToldGroup, ToldVerdict
from edgedyno.core.result import Conditions, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.service_metrics import ServiceState
    from edgedyno.controller.store.boards import Board
    from edgedyno.controller.store.executions import Execution

# Older ones no longer show: their cells were measured again, or their boards are gone.
NEWEST_EXECUTIONS = 1000
# About 40 series each; beyond, the older ones are in the API only.
MAX_CELLS = 5000


class _Told(Struct):
    """What is kept of a job's verdicts."""

    verdicts: list[ToldVerdict]
    groups: list[ToldGroup] = []


class _Read(Struct):
    """What was read of an execution's results."""

    version: tuple[int, int]
    """Scoring round and attempt: with another one all of them are read again."""
    count: int = 0
    newest_id: int = 0
    results: list[Result] = []


_told = msgspec.json.Decoder(_Told)


def _bare(result: Result) -> Result:
    """Return a result without the conditions that no metric needs: they are the bulk of a record."""
    kept = Conditions(
        temperature_celsius=result.conditions.temperature_celsius, throttled=result.conditions.throttled
    )
    return msgspec.structs.replace(result, conditions=kept)


class SnapshotTaker:
    """Reads the fleet in one transaction; used by one scrape at a time on a reader thread."""

    def __init__(
        self,
        clock: FleetClock,
        presence: Presence,
        service: Callable[[], ServiceState],
        *,
        certificates: Callable[[Connection], dict[tuple[str, str], float]] | None = None,
    ) -> None:
        self._certificates = certificates
        self._clock = clock
        self._presence = presence
        self._service = service
        self._cache: dict[str, _Read] = {}
        self._compared: tuple[object, dict[tuple[str, str], bool]] | None = None
        self._verdicts: dict[str, tuple[str, _Told]] = {}

    def take(self, connection: Connection) -> Snapshot:
        """Return the fleet as it is now."""
        known = boards.read_boards(connection)
        newest = executions.newest(connection, NEWEST_EXECUTIONS)
        heard = self._presence.heard()
        told = {
            job: self._told(connection, job)
            for job in dict.fromkeys(e.job for e in newest if e.results_count)
        }
        self._verdicts = {job: self._verdicts[job] for job in told if job in self._verdicts}
        now_seconds = self._clock.now()
        cells = self._cells(connection, newest, told)
        return Snapshot(
            boards=known,
            last_seen_seconds={
                board.board: max(0.0, now_seconds - heard.get(board.board, board.heard_at_seconds))
                for board in known
            },
            telemetry=self._presence.fresh(),
            executions=dict(Counter((e.board, e.state) for e in newest)),
            running=[e.record() for e in newest if e.state == "IN_PROGRESS"],
            cells=cells[-MAX_CELLS:],
            cells_left_out=max(0, len(cells) - MAX_CELLS),
            verdicts=[verdict for one in told.values() if one for verdict in one.verdicts],
            groups=[group for one in told.values() if one for group in one.groups],
            service=self._service(),
            certificate_seconds=self._certificates(connection) if self._certificates else {},
            outliers=self._outliers(cells, known),
            rollouts=read_views(connection, moment_of(self._clock, self._presence)),
        )

    def _cells(
        self, connection: Connection, newest: list[Execution], told: dict[str, _Told | None]
    ) -> list[Cell]:
        cells: dict[tuple[str, ...], Cell] = {}
        recommended = {job: _recommended(one) if one else None for job, one in told.items()}
        for execution in newest:
            if not execution.results_count:
                continue
            chosen = recommended[execution.job]
            for result in self._results(connection, execution):
                flag = None if chosen is None else result.trial in chosen.get(result.board, set())
                if result.status != "skipped":
                    key = cell_of(result)
                    cells.pop(key, None)  # the newest last
                    cells[key] = Cell(result, flag)
        self._forget_hidden(newest, cells)
        return list(cells.values())

    def _forget_hidden(self, newest: list[Execution], cells: dict[tuple[str, ...], Cell]) -> None:
        """Keep of the results that were read only those that show: newer ones stand for the others."""
        shown = {id(cell.result) for cell in cells.values()}
        kept = {}
        for execution in newest:
            if execution.execution in self._cache:
                read = self._cache[execution.execution]
                read.results = [one for one in read.results if id(one) in shown]
                kept[execution.execution] = read
        self._cache = kept

    def _outliers(self, cells: list[Cell], known: list[Board]) -> dict[tuple[str, str], bool]:
        """Return which compared board stands out in what; anew only where results or boards are new."""
        key = (
            tuple((name, each.count, each.version) for name, each in self._cache.items()),
            tuple((board.board, board.capabilities is not None) for board in known),
        )
        if self._compared is None or self._compared[0] != key:
            capabilities = {board.board: board.capabilities for board in known if board.capabilities}
            found = compare_boards([cell.result for cell in cells], capabilities)
            flags = {(board, quantity): False for board in found.compared for quantity in get_args(Quantity)}
            flags |= {(each.board, each.quantity): True for each in found.outliers}
            self._compared = (key, flags)
        return self._compared[1]

    def _results(self, connection: Connection, execution: Execution) -> list[Result]:
        """Return what is kept of an execution's results; of one that runs only the new ones are read."""
        version = (execution.scoring_round, execution.attempt)
        read = self._cache.get(execution.execution)
        if read is None or read.version != version:
            read = self._cache[execution.execution] = _Read(version)
        if read.count != execution.results_count:
            stored = results.read_results(connection, execution=execution.execution, after=read.newest_id)
            read.results += [_bare(one.record) for one in stored]
            read.newest_id = max((one.id for one in stored), default=read.newest_id)
            read.count = execution.results_count
        return read.results

    def _told(self, connection: Connection, job: str) -> _Told | None:
        """Return a job's verdicts, where they have been made since its results changed."""
        key = jobs.verdicts_key(connection, job)
        if job not in self._verdicts or self._verdicts[job][0] != key:
            kept, kept_key = jobs.read_verdicts(connection, job)
            if kept is None or kept_key != key:
                return None
            self._verdicts[job] = (key, _told.decode(kept))
        return self._verdicts[job][1]


def _recommended(told: _Told) -> dict[str, set[str]]:
    chosen: dict[str, set[str]] = {}
    for verdict in told.verdicts:
        chosen.setdefault(verdict.board, set()).update(verdict.recommended)
    return chosen
