"""The accuracy pass: every variant on every runtime sees every image once; predictions go out, not scores.

Each image is prepared once and shown to all variants, one image at a time, so memory stays bounded by the
models. An image that cannot be read counts, with its error. What really ran is asked of the runtime on the
way. Preparing each image and decoding each output are timed here, around those calls alone.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgedyno.agent.measure.inputs import Fingerprint, feed
from edgedyno.agent.measure.journal import PassLog
from edgedyno.agent.measure.known import SelfTests
from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.result import ImagePrediction, Predictions
from edgedyno.core.vision import decode, decode_classes

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edgedyno.agent.measure.inputs import Fed
    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch
    from edgedyno.core.manifest import Manifest

MAX_WORKERS = 6  # variants held in memory at once; more take turns, and each turn prepares the images again
# Codes of effective_precision after which a trial's figures stand under a wrong name.
DISQUALIFYING = frozenset(["provider.unused"])
_log = logging.getLogger(__name__)


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


class _Runner:
    """One variant on one runtime, going through the images."""

    def __init__(self, key: str, cell: Cell, launch: Launch) -> None:
        self.key = key
        self.cell = cell
        self.log = PassLog()
        self.images: list[ImagePrediction] = []
        self._worker: Worker | None = None
        try:
            self._worker = Worker(cell, launch)
        except TrialError as error:
            self._fail(error)

    def examine(self, selftests: SelfTests) -> None:
        """Show the variant known images, to see whether it is fed and read rightly."""
        if self._worker is None:
            self.log.selftest_reason = self.log.reason
            return
        try:
            self.log.selftest, self.log.selftest_reason = selftests.run(self.cell, self._worker)
        except TrialError as error:
            self._fail(error)
            self.log.selftest_reason = self.log.reason

    def see(self, fed: Fed, tensor: Path, manifest: Manifest) -> None:
        """Infer one image and decode what comes out."""
        if self._worker is None:
            return
        if fed.prepared is None:
            self.images.append(ImagePrediction(fed.image.id, error=fed.error))
            return
        self.log.preprocess_seconds.append(fed.seconds)
        try:
            paths = self._worker.infer(tensor, tensor.parent, self.key)
            self.images.append(self._decode(paths, fed, manifest))
        except TrialError as error:
            self._fail(error)

    def _decode(self, paths: list[str], fed: Fed, manifest: Manifest) -> ImagePrediction:
        outputs = [np.load(path, allow_pickle=False) for path in paths]
        spec = self.cell.variant.output or manifest.model.output
        if fed.prepared is None:
            raise TypeError("an image without tensor has no outputs to decode")
        began = time.perf_counter()
        try:
            if manifest.model.task == "classify":
                seen = ImagePrediction(fed.image.id, classes=decode_classes(outputs, spec))
            else:
                seen = ImagePrediction(fed.image.id, detections=decode(outputs, spec, fed.prepared.geometry))
        except EdgedynoError as error:
            return ImagePrediction(fed.image.id, error=f"image {fed.image.id}: {error}")
        self.log.postprocess_seconds.append(time.perf_counter() - began)
        return seen

    def ask_precision(self, tensor: Path) -> None:
        """Ask what really ran, on `tensor`."""
        if self._worker is None:
            return
        try:
            self._worker.bind(tensor)
            precision, detail = self._worker.effective_precision()
            self.log.effective_precision, self.log.effective_precision_detail = precision, detail
        except TrialError as error:
            if error.failure.code in DISQUALIFYING:
                self.log.failure = error.failure
            self.log.effective_precision_reason = f"{error.failure.code}: {error.failure.text}"
            _log.warning("effective precision of %s on %s: %s", self.key, self.cell.runtime, error)

    def _fail(self, error: TrialError) -> None:
        reason = f"{error.failure.code}: {error.failure.text}"
        self.log.reason = self.log.reason or reason
        self.log.effective_precision_reason = self.log.effective_precision_reason or reason
        self.close()

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


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
    """Do every pass that the journal does not have yet; `between` gets images done and to do."""
    missing = [(key, cell) for key, cell in choose_cells(cells).items() if journal.accuracy_pass(key) is None]
    # FP32 first: the self-tests of the others are compared with its own.
    missing.sort(key=lambda each: each[1].variant.precision != "fp32")
    for group in _groups(missing):
        runners: list[_Runner] = []
        try:
            for key, cell in group:
                runners.append(_Runner(key, cell, launch))
            _run_group(
                runners,
                manifest=manifest,
                launch=launch,
                journal=journal,
                latency_input=latency_input,
                stop=stop,
                between=between,
            )
        finally:
            for runner in runners:
                runner.close()
        if stop.is_set():
            return


def _groups(missing: Sequence[tuple[str, Cell]]) -> Iterator[list[tuple[str, Cell]]]:
    """Yield passes that go together: those that want their images prepared alike, as many as memory allows."""
    alike: dict[bytes, list[tuple[str, Cell]]] = {}
    for key, cell in missing:
        alike.setdefault(msgspec.json.encode(cell.variant.input), []).append((key, cell))
    for group in alike.values():
        for start in range(0, len(group), MAX_WORKERS):
            yield group[start : start + MAX_WORKERS]


def _run_group(
    runners: Sequence[_Runner],
    *,
    manifest: Manifest,
    launch: Launch,
    journal: Journal,
    latency_input: Path,
    stop: threading.Event,
    between: Callable[[int, int], None],
) -> None:
    fingerprint = Fingerprint()
    tensor = journal.scratch / "image.npy"
    own = runners[0].cell.variant.input
    selftests = SelfTests(manifest, launch.files, journal.folder / "selftests")
    for runner in runners:
        if stop.is_set():
            return
        runner.examine(selftests)
    shown = feed(manifest, launch.files, own)
    plain = feed(manifest, launch.files) if own else None
    for done, fed in enumerate(shown, start=1):
        if stop.is_set():
            return
        fingerprint.add(next(plain) if plain else fed)
        if fed.prepared is not None:
            np.save(tensor, fed.prepared.tensor, allow_pickle=False)
        for runner in runners:
            runner.see(fed, tensor, manifest)
        between(done, len(manifest.images))
    for runner in runners:
        runner.ask_precision(latency_input)
        _keep(runner, fingerprint.sha256(), manifest, journal)


def _keep(runner: _Runner, preparation_sha256: str, manifest: Manifest, journal: Journal) -> None:
    variant = runner.cell.variant_sha256
    if not manifest.images:
        runner.log.reason = runner.log.reason or "the job has no images"
    elif variant is not None and runner.log.reason is None:
        predictions = Predictions(variant, runner.cell.runtime, preparation_sha256, runner.images)
        runner.log.predictions_sha256 = journal.add_artifact(predictions)
    journal.save_pass(runner.key, runner.log)
