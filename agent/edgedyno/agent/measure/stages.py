"""What preparing images and decoding outputs took, from the accuracy pass to the fields of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.core.result import StageSummary
from edgedyno.core.statistics import TAIL_MIN_SAMPLES

if TYPE_CHECKING:
    from edgedyno.agent.measure.journal import PassLog


def stage_fields(accuracy: PassLog) -> dict[str, Any]:
    """Summarize both stages beside the inference, or say why one is not known."""
    before = _summarize(accuracy.preprocess_seconds, accuracy.preprocess_count)
    after = _summarize(accuracy.postprocess_seconds, accuracy.postprocess_count)
    reason = None
    if before is None:
        reason = f"not timed: {accuracy.reason or 'no image could be prepared'}"
    elif after is None:
        reason = f"decoding was not timed: {accuracy.reason or 'no output could be decoded'}"
    return {"preprocess_seconds": before, "postprocess_seconds": after, "stages_reason": reason}


def _summarize(seconds: list[float], count: int) -> StageSummary | None:
    if not seconds:
        return None
    tail = float(np.percentile(seconds, 95)) if len(seconds) >= TAIL_MIN_SAMPLES[95] else None
    return StageSummary(n=count or len(seconds), p50=float(np.median(seconds)), p95=tail)
