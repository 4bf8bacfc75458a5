"""One variant on one runtime going through the images: shown on one thread, taken down on another.

While its worker infers an image, what came of the image before is decoded and written. Nothing of an image stays
in memory once it is written; how far it is, is kept in the journal.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgedyno.agent.measure.contender import SPINNING_BOUND
from edgedyno.agent.measure.exchange import Pool
from edgedyno.agent.measure.fidelity import compare, fidelity
from edgedyno.agent.measure.journal import PassLog, PassState
from edgedyno.agent.measure.reading import read_outputs
from edgedyno.agent.measure.signs import add_signs
from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.predictions import FORMAT, PredictionsHead, PredictionsWriter
from edgedyno.core.result import ImagePrediction, ImagesShown
from edgedyno.core.vision import tensor_shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.agent.measure.exchange import SharedFile
    from edgedyno.agent.measure.fidelity import References
    from edgedyno.agent.measure.inputs import Fed
    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.known import SelfTests
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch, OutputPlace
    from edgedyno.core.manifest import Manifest
    from edgedyno.core.vision import Geometry

    Output = NDArray[np.generic]

OUTPUT_FILES = 2  # one is written while the other is decoded
FIRST_ERRORS = 5
# Codes of effective_precision after which a trial's figures stand under a wrong name.
DISQUALIFYING = frozenset(["provider.unused"])
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What a worker left of one image."""

    file: SharedFile
    places: list[OutputPlace]


class Viewer:
    """One variant on one runtime, going through the images."""

    def __init__(
        self, key: str, cell: Cell, *, manifest: Manifest, launch: Launch, journal: Journal, inputs: Pool
    ) -> None:
        """Start its worker; where that fails the reason is in its log."""
        self.key = key
        self.cell = cell
        self.log = PassLog()
        self._manifest = manifest
        self._journal = journal
        subject = _subject(key, cell, manifest)
        state = journal.pass_state(key)
        self.state = state if state is not None and state.subject == subject else PassState(subject)
        self._writer = PredictionsWriter(journal.pass_part(key), kept_bytes=self.state.predictions_bytes)
        self._inputs = inputs
        self._spec = cell.variant.input or manifest.model.input
        self._outputs = Pool(OUTPUT_FILES, journal.scratch)
        self._worker: Worker | None = None
        try:
            self._worker = Worker(cell, launch, [*inputs.fds, *self._outputs.fds])
        except TrialError as error:
            self.fail(error)

    @property
    def alive(self) -> bool:
        """Whether its worker can be shown images."""
        return self._worker is not None

    # -- on the thread that shows

    def show(self, fed: Fed) -> Answer | None:
        """Infer one image; None where it cannot be."""
        if self._worker is None or fed.file is None or fed.place < self.state.done:
            return None
        try:
            return self._ask(self._worker, fed.file, tensor_shape(self._spec))
        except TrialError as error:
            self.fail(error)
            return None

    def _ask(self, worker: Worker, source: SharedFile, shape: Sequence[int]) -> Answer:
        target = self._outputs.take()
        try:
            shown = worker.show(source.fd, shape, target.fd)
        except TrialError:
            self._outputs.give_back(target)
            raise
        if shown.waiting_cpu_ratio > SPINNING_BOUND:
            worker.park()
        return Answer(target, shown.outputs)

    def examine(self, selftests: SelfTests) -> None:
        """Show the variant known images, to see whether it is fed and read rightly."""
        if self._worker is None:
            self.log.selftest_reason = self.log.reason
            return
        try:
            self.log.selftest, self.log.selftest_reason = selftests.run(self.cell, self._worker)
        except TrialError as error:
            self.fail(error)
            self.log.selftest_reason = self.log.reason

    def _collect(self, answer: Answer) -> list[Output]:
        try:
            return answer.file.outputs(answer.places)
        finally:
            self._outputs.give_back(answer.file)

    # -- on the thread that takes down

    def take_down(self, fed: Fed, answer: Answer | None, references: References) -> None:
        """Decode what came of one image and write it."""
        if fed.place < self.state.done or (answer is None and fed.error is None):
            return
        if answer is None or fed.geometry is None:
            seen = ImagePrediction(fed.image.id, error=fed.error)
        else:
            outputs = self._collect(answer)
            add_signs(self.state.outputs, self.state.last, outputs)
            if references.is_one(self.key):
                references.keep(self.key, fed.place, outputs)
            elif self.cell.variant.precision != "fp32":
                compare(self.state, fed.place, outputs, references, self.cell)
            self.state.preprocess.add(fed.seconds)
            seen = self._decode(outputs, fed.image.id, fed.geometry)
        self._writer.add(seen)
        self._count(seen.error)
        self.state.done, self.state.chain = fed.place + 1, fed.chain

    def _count(self, error: str | None) -> None:
        if error is None:
            return
        self.state.failed += 1
        code = error.partition(":")[0]
        self.state.codes[code] = self.state.codes.get(code, 0) + 1
        if len(self.state.first) < FIRST_ERRORS:
            self.state.first.append(error)

    def checkpoint(self) -> None:
        """Keep how far it is, so that a killed runner goes on here."""
        if self.log.reason is None:
            self.state.predictions_bytes = self._writer.sync()
            self._journal.save_pass_state(self.key, self.state)

    def _decode(self, outputs: list[Output], image_id: int, geometry: Geometry) -> ImagePrediction:
        began = time.thread_time()
        seen = read_outputs(outputs, image_id, geometry, variant=self.cell.variant, manifest=self._manifest)
        if seen.error is None:
            self.state.postprocess.add(time.thread_time() - began)
        return seen

    # -- when all were shown

    def conclude(self, latency_input: Path, references: References) -> None:
        """Put predictions and log where they belong; `latency_input` is what the runtime is asked about."""
        if self._worker is not None:
            self._ask_precision(self._worker, latency_input)
        state, variant = self.state, self.cell.variant_sha256
        if not self._manifest.images:
            self.log.reason = self.log.reason or "the job has no images"
        elif variant is not None and self.log.reason is None:
            head = PredictionsHead(FORMAT, variant, self.cell.runtime, state.chain, state.done)
            self.log.predictions_sha256 = self._writer.finish(head, self._journal.artifacts)
            self.log.images = ImagesShown(state.done, state.failed, state.codes, state.first)
            self.log.fidelity, self.log.fidelity_reason = fidelity(state, references, self.cell)
        self.log.preprocess_seconds, self.log.preprocess_count = (
            state.preprocess.seconds,
            state.preprocess.count,
        )
        self.log.postprocess_seconds, self.log.postprocess_count = (
            state.postprocess.seconds,
            state.postprocess.count,
        )
        self.log.outputs = state.outputs
        self._writer.close()
        self._journal.end_pass(self.key, self.log)

    def _ask_precision(self, worker: Worker, tensor: Path) -> None:
        """Ask what really ran, on `tensor`."""
        try:
            worker.bind(tensor)
            precision, detail = worker.effective_precision()
            self.log.effective_precision, self.log.effective_precision_detail = precision, detail
        except TrialError as error:
            if error.failure.code in DISQUALIFYING:
                self.log.failure = error.failure
            self.log.effective_precision_reason = f"{error.failure.code}: {error.failure.text}"
            _log.warning("effective precision of %s on %s: %s", self.key, self.cell.runtime, error)

    def fail(self, error: TrialError) -> None:
        """Give this pass up; the others go on."""
        reason = f"{error.failure.code}: {error.failure.text}"
        self.log.reason = self.log.reason or reason
        self.log.effective_precision_reason = self.log.effective_precision_reason or reason
        self._end_worker()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def close(self) -> None:
        """End the worker; what was not concluded stays for the next runner."""
        self._end_worker()
        self._writer.close()
        self._outputs.close()


def _subject(key: str, cell: Cell, manifest: Manifest) -> str:
    """Return a hash over all that an unfinished pass must have in common with the one that goes on with it."""
    parts = (key, cell.variant.input, cell.variant.output, manifest.model, manifest.images)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
