"""What to race next in one execution, from its journal: the search's cells, the reference trial, the finalists.

Everything is worked out from the journal, so a run that was interrupted goes on the same way.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec import structs

from edgedyno.agent.measure.observed import observe
from edgedyno.agent.measure.search import FINAL_SHARE, Search

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.search import Observed
    from edgedyno.core.manifest import Manifest

LEAST_FINAL_SECONDS = 1.0  # a race of one round


class Agenda:
    """The trials of one execution that are still to be raced."""

    def __init__(
        self, cells: Sequence[Cell], manifest: Manifest, journal: Journal, *, done: Collection[str]
    ) -> None:
        """`done` are the trials that have their result and are not raced again."""
        order = random.Random(manifest.execution)  # noqa: S311 - an order, not a secret
        self._cells = list(cells)
        self._measure = manifest.measure
        self._journal = journal
        self._done = frozenset(done)
        self._search = Search(cells, manifest.measure.max_seconds, order)
        self.finalists = journal.run().finalists
        """Trials of a large sweep that are raced once more, side by side; empty until it has come to that."""

    @property
    def is_searched(self) -> bool:
        """Whether the sweep is a large one, of which one cell of each variant and runtime is owed a result."""
        return self._search.may_leave_out

    def waiting(self, spent_seconds: float) -> list[Cell]:
        """Return what to race next: what the search asks for while there is time, then the finalists.

        However short the time is, each variant is tried once on each runtime: without that it has no result.
        """
        seen = self._observed()
        if not self.finalists:
            late = spent_seconds >= (1 - FINAL_SHARE) * self._measure.max_seconds
            short = late and self._search.may_leave_out
            if cells := self._not_done((self._search.unsampled if short else self._search.next_cells)(seen)):
                return cells
            self._reopen(self._search.finalists(seen), spent_seconds)
        final = [cell for cell in self._cells if cell.trial in self.finalists]
        return self._not_done([cell for cell in final if not self._journal.trial(cell.trial).finished])

    def reference(self) -> Cell:
        """Return the trial that every group holds, so that ratios chain: the first that has not failed.

        One that has bursts goes before one that has none: it has common blocks with earlier groups.
        """
        cells = self._not_done([*self._search.next_cells({}), *self._cells])
        working = [cell for cell in cells if self._journal.trial(cell.trial).failure is None] or cells
        raced = [cell for cell in working if self._journal.trial(cell.trial).bursts]
        return (raced or working)[0]

    def groups_left(self, waiting: int, size: int) -> int:
        """Return how many races the time is divided into; `waiting` do not fit the one at hand of `size`."""
        at_hand = 1 if self.finalists else self._search.groups_to_come
        return at_hand + -(-waiting // max(1, size))

    def left_out(self) -> list[Cell]:
        """Return the cells that the search did not try, each with its reason."""
        untried = self._search.untried(self._observed())
        return self._not_done([structs.replace(cell, failure=failure) for cell, failure in untried])

    def _not_done(self, cells: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in cells if cell.trial not in self._done]

    def _reopen(self, finalists: Sequence[Cell], spent_seconds: float) -> None:
        """Note that the finalists are to be raced once more, if there is time."""
        left = self._measure.max_seconds - spent_seconds
        if left < LEAST_FINAL_SECONDS or len(finalists) < 2:  # noqa: PLR2004 - a race needs two
            return
        self.finalists = [cell.trial for cell in finalists]
        self._journal.save_run(structs.replace(self._journal.run(), finalists=self.finalists))
        for trial in self.finalists:
            log = self._journal.trial(trial)
            log.finished = log.settled = log.eliminated = False
            self._journal.save_trial(log)

    def _observed(self) -> dict[str, Observed]:
        """Return what the journal knows of every trial that was raced to its end, or has its result."""
        reference = self._journal.trial(self.reference().trial)
        ended = self._done | set(self.finalists)
        logs = [self._journal.trial(cell.trial) for cell in self._cells]
        return {
            log.trial: observe(log, reference, precision=self._measure.precision)
            for log in logs
            if log.finished or log.trial in ended
        }
