"""Whether another number of threads predicts the same: a few images shown again, after the accuracy pass.

A pass is run once for each variant and runtime, because threads should not change what is predicted; this is the
check that they do not. Sums in another order change last digits: what is tolerated is stated with the finding.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from edgedyno.agent.measure.difference import Difference, difference
from edgedyno.agent.measure.exchange import Pool
from edgedyno.agent.measure.inputs import Feeder
from edgedyno.agent.measure.reading import read_outputs
from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.predictions import stream_predictions
from edgedyno.core.result import ThreadsCheck
from edgedyno.core.vision import tensor_shape

if TYPE_CHECKING:
    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch
    from edgedyno.core.manifest import Manifest
    from edgedyno.core.result import ImagePrediction

IMAGES = 4
LOOKED_AT = 32  # of the first images, until there are enough that can be used
SCORE_TOLERANCE = 1e-3
BOX_TOLERANCE_PIXELS = 0.5
_log = logging.getLogger(__name__)


def check_threads(
    key: str, cell: Cell, other: Cell, *, manifest: Manifest, launch: Launch, journal: Journal
) -> None:
    """Show `other`, which is `cell` with other threads, what the pass of `cell` saw first; note what comes of it."""
    log = journal.accuracy_pass(key)
    if log is None or log.predictions_sha256 is None or log.threads_check is not None:
        return
    try:
        again = _predict(other, manifest, launch, journal)
    except TrialError as error:
        _log.warning("threads of %s on %s cannot be compared: %s", key, cell.runtime, error)
        return
    with (journal.artifacts / log.predictions_sha256).open("rb") as file:
        before = {each.image_id: each for each in islice(stream_predictions(file).images, LOOKED_AT)}
    if not again:
        return
    found, spec = Difference(), cell.variant.output or manifest.model.output
    for seen in again:
        found = found.joined(difference(before[seen.image_id], seen, spec))
    log.threads_check = ThreadsCheck(
        threads=cell.threads,
        other_threads=other.threads,
        images=len(again),
        identical=found == Difference(),
        max_score_difference=found.score,
        text=_tell(cell.threads, other.threads, len(again), found),
        rounding_only=found != Difference() and _is_rounding(found),
    )
    journal.save_pass(key, log)


def _predict(cell: Cell, manifest: Manifest, launch: Launch, journal: Journal) -> list[ImagePrediction]:
    """Return what a cell sees in the first images that can be used."""
    seen: list[ImagePrediction] = []
    inputs, outputs = Pool(1, journal.scratch), Pool(1, journal.scratch)
    own = cell.variant.input
    feeder = Feeder(manifest, launch.files, inputs, own)
    shape = tensor_shape(own or manifest.model.input)
    try:
        with Worker(cell, launch, [*inputs.fds, *outputs.fds]) as worker:
            for place in range(min(LOOKED_AT, len(manifest.images))):
                fed = feeder.feed(place)
                if fed.file is None or fed.geometry is None:
                    continue
                if len(seen) == IMAGES:
                    break
                shown = worker.show(fed.file.fd, shape, outputs.files[0].fd)
                inputs.give_back(fed.file)
                found = outputs.files[0].outputs(shown.outputs)
                seen.append(
                    read_outputs(found, fed.image.id, fed.geometry, variant=cell.variant, manifest=manifest)
                )
    finally:
        inputs.close()
        outputs.close()
    return seen


def _is_rounding(found: Difference) -> bool:
    return found.score <= SCORE_TOLERANCE and found.box_pixels <= BOX_TOLERANCE_PIXELS


def _tell(threads: int, other: int, images: int, found: Difference) -> str:
    if found == Difference():
        return f"on {images} images {threads} and {other} threads predict exactly the same"
    by = (
        f"scores differ by up to {found.score:.2g}, boxes by up to {found.box_pixels:.2g} pixels "
        f"({SCORE_TOLERANCE:g} and {BOX_TOLERANCE_PIXELS:g} pixels are tolerated)"
    )
    if _is_rounding(found):
        return f"on {images} images {threads} and {other} threads predict the same but for rounding: {by}"
    differently = f"on {images} images {threads} and {other} threads predict differently: {by}"
    return f"{differently}; the accuracy is that of {threads} threads"
