"""A self-test of FP32 without known images: what needs no labels, on the data set's first images.

Nothing is known of these images, so another reading that sees more is a suspicion and never a failure. What FP32 is
sure to see becomes what other variants should see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import EdgedynoError
from edgedyno.core.vision.selftest import symptoms
from edgedyno.core.vision.selftest.alternatives import DTYPE, colours, of_input, of_output
from edgedyno.core.vision.selftest.examination import LIMIT_SECONDS, Examined, failing, passing
from edgedyno.core.vision.selftest.explaining import Finding, explain_error
from edgedyno.core.vision.selftest.reference import Reference
from edgedyno.core.vision.selftest.sentences import MEANINGS
from edgedyno.core.vision.selftest.sighting import confident
from edgedyno.core.vision.selftest.trying import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.vision.selftest.alternatives import Alternative, Reading
    from edgedyno.core.vision.selftest.symptoms import InputTensor
    from edgedyno.core.vision.selftest.trying import Infer, Seen, Shown

# How many of a data set's images; one colour order is told from the other by comparing them image by image.
IMAGES = 8
_FEWEST = 6
_RATIO = 1.1
_T = 3.0
# What no model that is fed rightly falls below on images of its task: nothing at all is likely in any of them.
_BLIND = 0.4


def survey(
    infer: Infer,
    reading: Reading,
    shown: Sequence[Shown],
    *,
    tensor: InputTensor | None = None,
    names: Sequence[str] = (),
    seconds: float = LIMIT_SECONDS,
) -> Examined:
    """Examine FP32 on images of unknown content."""
    subject = Subject(infer, shown, names=names, reference=None, strict=True, seconds=seconds)
    images = len(shown)
    try:
        seen = subject.see(reading)
    except EdgedynoError as error:
        if error.code.startswith("image."):
            raise
        found = explain_error(subject, reading, error, tensor)
        return Examined(failing(images, f"{error}: {found.text}", found), None)
    dead = _dead(subject, reading)
    if dead is not None:
        return Examined(failing(images, f"{MEANINGS[dead.code or '']}: {dead.text}", dead), None)
    text = f"no known images: outputs vary from image to image in {images} images of the data set"
    suspect = _suspicion(subject, reading, seen, tensor)
    return Examined(passing(images, text, suspect), _reference(subject, reading, seen, names))


def _dead(subject: Subject, reading: Reading) -> Finding | None:
    first, _ = subject.outputs(0, reading.input)
    text = symptoms.not_a_number(first)
    if text is not None:
        return Finding(symptoms.NOT_A_NUMBER, text)
    other = subject.outputs(1, reading.input)[0] if len(subject.shown) > 1 else None
    text = None if other is None else symptoms.constant(first, other)
    return None if text is None else Finding(symptoms.CONSTANT, text)


def _suspicion(subject: Subject, reading: Reading, seen: Seen, tensor: InputTensor | None) -> Finding | None:
    """Return what speaks for another reading."""
    unfit = None if tensor is None else symptoms.unfit_input(subject.tensor(0, reading.input), tensor)
    if unfit is not None:
        return Finding(DTYPE, unfit)
    noise = seen.noise(None) if len(subject.shown) > 1 else None
    if noise is not None or seen.top_score < _BLIND:
        words = noise or f"nothing is seen with more than {seen.top_score:.2f} in any image"
        return _clearer(subject, reading, words)
    for other in colours(reading):
        told = _surer(seen, _try(subject, other.reading))
        if told is not None:
            text = f"with `{other.changes[0]}` {told}"
            return Finding(other.code, text, other.changes, other.reading)
    return None


def _clearer(subject: Subject, reading: Reading, words: str) -> Finding:
    """Return the reading with which things are seen, and not everywhere."""
    best: tuple[float, Alternative] | None = None
    for other in (*of_output(reading), *of_input(reading)):
        if subject.late:
            break
        seen = _try(subject, other.reading)
        clear = seen is not None and seen.noise(None) is None and seen.top_score > 1.5 * _BLIND
        if seen is not None and clear and (best is None or seen.top_score > best[0]):
            best = (seen.top_score, other)
    if best is None:
        return Finding(None, f"{words}, and no other reading of the profile changes that")
    changes = ", ".join(f"`{change}`" for change in best[1].changes) or "its last activation made good"
    text = f"{words}; with {changes} scores go up to {best[0]:.2f}"
    return Finding(best[1].code, text, best[1].changes, best[1].reading)


def _try(subject: Subject, reading: Reading) -> Seen | None:
    try:
        return subject.see(reading)
    except EdgedynoError:
        return None


def _surer(seen: Seen, other: Seen | None) -> str | None:
    """Say that image by image another reading sees more, beyond chance; None: it does not."""
    if other is None or len(seen.looks) < _FEWEST:
        return None
    ours = np.array([each.total_score for each in seen.looks])
    theirs = np.array([each.total_score for each in other.looks])
    apart = theirs - ours
    spread = float(apart.std(ddof=1)) / len(apart) ** 0.5
    if theirs.sum() < _RATIO * ours.sum() or apart.mean() < _T * spread:
        return None
    more = theirs.sum() / max(ours.sum(), 1e-9) - 1
    return f"scores are {more:.0%} higher, in {int((apart > 0).sum())} of {len(apart)} images"


def _reference(subject: Subject, reading: Reading, seen: Seen, names: Sequence[str]) -> Reference:
    first, _ = subject.outputs(0, reading.input)
    expect = {}
    for index, shown in enumerate(subject.shown):
        outputs, geometry = subject.outputs(index, reading.input)
        expect[shown.name] = confident(outputs, reading, geometry, names)
    sure = {name: objects for name, objects in expect.items() if objects}
    return Reference(
        reading=reading,
        passed=True,
        traits=symptoms.traits(first, reading.output.decoder),
        sure_boxes=seen.most_boxes,
        scores=[each.min_score for objects in sure.values() for each in objects],
        expect=sure,
    )
