"""The accuracy pass: every variant on every runtime sees every image once; predictions go out, not scores.

Three things go on at a time: one image is prepared, the one before is shown to each variant in turn, and what came
of the one before that is decoded and written. A handful of images are in memory, however many there are. An image
that cannot be read counts, with its error. A pass that is stopped or killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import msgspec

from edgedyno.agent.measure.exchange import Pool
from edgedyno.agent.measure.fidelity import References
from edgedyno.agent.measure.inputs import Feeder
from edgedyno.agent.measure.known import SelfTests
from edgedyno.agent.measure.threads import check_threads
from edgedyno.agent.measure.viewer import Viewer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from edgedyno.agent.measure.inputs import Fed
    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch
    from edgedyno.core.manifest import Manifest

MAX_WORKERS = 6  # variants held in memory at once; more take turns, and each turn prepares the images again
AHEAD = 2  # images that are prepared while one is shown
BEHIND = 2 * MAX_WORKERS + 1  # outputs that wait to be decoded: two images' of each variant, and a checkpoint
CHECKPOINT_SECONDS = 3.0  # what a kill costs at most; each is a write that an SD card has to finish


def pass_key(cell: Cell) -> str:
    """Name the accuracy pass that serves a cell: threads and cores do not change predictions."""
    words = f"{cell.variant_sha256}\n{cell.runtime}\n{cell.runtime_version}\n{cell.batch}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def choose_cells(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Return for each pass the cell that does it fastest: the one with the most threads."""
    chosen: dict[str, Cell] = {}
    for cell in cells:
        other = chosen.get(pass_key(cell))
        if other is None or cell.threads > other.threads:
            chosen[pass_key(cell)] = cell
    return chosen


def run_passes(
    cells: Iterable[Cell],
    *,
    manifest: Manifest,
    launch: Launch,
    journal: Journal,
    latency_input: Path,
    stop: threading.Event,
    between: Callable[[int, int], None],
) -> None:
    """Do every pass that the journal does not have yet; `between` gets images done and to do, of all turns."""
    cells = list(cells)
    passes = choose_cells(cells)
    references = References(passes.items(), manifest.model.input, journal.folder / "fp32-outputs")
    missing = [(key, cell) for key, cell in passes.items() if journal.accuracy_pass(key) is None]
    selftests = SelfTests(manifest, launch.files, journal.folder / "selftests")
    # What others are compared with goes first.
    missing.sort(key=lambda each: (not references.is_one(each[0]), each[1].variant.precision != "fp32"))
    groups = list(_groups(missing))
    for turn, group in enumerate(groups):
        with Group(group, manifest, launch, journal, references) as shown:
            for viewer in shown.viewers:
                if stop.is_set():
                    return
                viewer.examine(selftests)
            shown.run(
                stop,
                lambda done, turn=turn: between(  # type: ignore[misc]
                    turn * len(manifest.images) + done, len(groups) * len(manifest.images)
                ),
            )
            if stop.is_set():
                return
            for viewer in shown.viewers:
                viewer.conclude(latency_input, references)
    references.clear()
    for key, other in _fewest_threads(cells).items():
        if stop.is_set():
            return
        if other.threads != passes[key].threads:
            check_threads(key, passes[key], other, manifest=manifest, launch=launch, journal=journal)


def _fewest_threads(cells: Iterable[Cell]) -> dict[str, Cell]:
    """Return for each pass the cell with the fewest threads."""
    return {pass_key(cell): cell for cell in sorted(cells, key=lambda cell: -cell.threads)}


def _groups(missing: Sequence[tuple[str, Cell]]) -> Iterator[list[tuple[str, Cell]]]:
    """Yield passes that go together: those that want their images prepared alike, as many as memory allows."""
    alike: dict[bytes, list[tuple[str, Cell]]] = {}
    for key, cell in missing:
        alike.setdefault(msgspec.json.encode(cell.variant.input), []).append((key, cell))
    for group in alike.values():
        for start in range(0, len(group), MAX_WORKERS):
            yield group[start : start + MAX_WORKERS]


class Group:
    """Passes that are shown the same images in turn; a context manager that owns their workers and files."""

    def __init__(
        self,
        passes: Sequence[tuple[str, Cell]],
        manifest: Manifest,
        launch: Launch,
        journal: Journal,
        references: References,
    ) -> None:
        self._manifest = manifest
        self._launch = launch
        self._journal = journal
        self._references = references
        self._passes = passes
        self._inputs = Pool(AHEAD + 1, journal.scratch)
        self.viewers: list[Viewer] = []

    def __enter__(self) -> Group:  # noqa: PYI034 - typing.Self needs Python 3.11
        try:
            for key, cell in self._passes:
                self.viewers.append(
                    Viewer(
                        key,
                        cell,
                        manifest=self._manifest,
                        launch=self._launch,
                        journal=self._journal,
                        inputs=self._inputs,
                    )
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for viewer in self.viewers:
            viewer.close()
        self._inputs.close()

    def run(self, stop: threading.Event, between: Callable[[int], None]) -> None:
        """Show the images that are left, until `stop`; `between` gets how many were shown."""
        cv2.setNumThreads(
            1
        )  # of these images a second thread saves nothing, and it takes a core from the inference
        least = min(self.viewers, key=lambda viewer: viewer.state.done)
        feeder = Feeder(self._manifest, self._launch.files, self._inputs, self._passes[0][1].variant.input)
        feeder.resume(least.state.chain)
        with ThreadPoolExecutor(1, "prepare") as preparing, ThreadPoolExecutor(1, "take-down") as writing:
            coming = _Ahead(preparing, feeder, range(least.state.done, len(self._manifest.images)))
            written = _Behind(writing)
            saved = time.monotonic()
            for fed in coming:
                self._show(fed, written)
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    written.submit(self._checkpoint)
                    saved = time.monotonic()
                between(fed.place + 1)
                if stop.is_set() or not any(viewer.alive for viewer in self.viewers):
                    break
            coming.cancel()
            written.submit(self._checkpoint)
            written.wait()

    def _show(self, fed: Fed, written: _Behind) -> None:
        for viewer in self.viewers:
            written.submit(viewer.take_down, fed, viewer.show(fed), self._references)
        if fed.file is not None:
            self._inputs.give_back(fed.file)

    def _checkpoint(self) -> None:
        for viewer in self.viewers:
            viewer.checkpoint()


class _Ahead:
    """Images that are prepared in another thread, AHEAD of the one that is asked for."""

    def __init__(self, thread: ThreadPoolExecutor, feeder: Feeder, indices: range) -> None:
        self._thread = thread
        self._feeder = feeder
        self._indices = iter(indices)
        self._coming: deque[Future[Fed]] = deque()
        for _ in range(AHEAD):
            self._prepare_next()

    def _prepare_next(self) -> None:
        index = next(self._indices, None)
        if index is not None:
            self._coming.append(self._thread.submit(self._feeder.feed, index))

    def __iter__(self) -> Iterator[Fed]:
        while self._coming:
            fed = self._coming.popleft().result()
            self._prepare_next()
            yield fed

    def cancel(self) -> None:
        """Prepare no more."""
        for future in self._coming:
            future.cancel()


class _Behind:
    """What another thread still has to take down, BEHIND tasks at most; its failures are raised here."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._pending: deque[Future[None]] = deque()

    def submit(self, function: Callable[..., None], *arguments: object) -> None:
        """Have `function` called after all that was submitted before."""
        self._pending.append(self._thread.submit(function, *arguments))
        while self._pending[0].done() or len(self._pending) > BEHIND:
            self._pending.popleft().result()
            if not self._pending:
                break

    def wait(self) -> None:
        """Wait until nothing is left."""
        while self._pending:
            self._pending.popleft().result()
