"""Examine a variant on images of known content; where it fails, find what explains it.

Passing costs one inference an image (FP32: two, for a colour order that would be surer). Other readings are tried
only where it fails, within a time. What is named has been tried: the alternative makes it pass, by a margin, or
the numbers themselves show it. That nothing explains a failure is an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.core.errors import EdgedynoError
from edgedyno.core.result import SelfTest
from edgedyno.core.vision.selftest import symptoms
from edgedyno.core.vision.selftest.alternatives import colours, scales
from edgedyno.core.vision.selftest.explaining import Finding, explain, explain_error, inherited
from edgedyno.core.vision.selftest.reference import Reference
from edgedyno.core.vision.selftest.sentences import Words
from edgedyno.core.vision.selftest.trying import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.vision.selftest.alternatives import Reading
    from edgedyno.core.vision.selftest.symptoms import InputTensor
    from edgedyno.core.vision.selftest.trying import Infer, Seen, Shown

# A reading that is this much surer is worth a word, though the stated one passes: of the bundled models and three of
# YOLO's, letterboxes and stretching differ by less on the known images.
SURER = 0.1
# Of what is known to be there, models see this much at least as a rule: YOLOv5n 0.77, the others here more.
_SURE = 0.75
# All of the readings together; a slow runtime gets through some of them, and it is said how many.
LIMIT_SECONDS = 60.0


class Examined(NamedTuple):
    """What came of a self-test, and what others may be compared with."""

    selftest: SelfTest
    reference: Reference | None
    score: float | None = None
    """How surely the expected objects are seen, mean over them."""


def examine(
    infer: Infer,
    reading: Reading,
    shown: Sequence[Shown],
    *,
    reference: Reference | None = None,
    strict: bool = True,
    tensor: InputTensor | None = None,
    names: Sequence[str] = (),
    words: Words | None = None,
    seconds: float = LIMIT_SECONDS,
) -> Examined:
    """Examine a variant that reads `shown` as `reading` says; `strict` is for FP32 itself, which has no reference.

    `infer` raises EdgedynoError where the variant does not run. Raises ConfigError (image.*) for an image that
    cannot be used.
    """
    words = words or Words()
    subject = Subject(
        infer,
        shown,
        names=names,
        reference=reference,
        strict=strict,
        seconds=seconds,
        may_lose=words.may_lose,
    )
    try:
        seen = subject.see(reading)
    except EdgedynoError as error:
        if error.code.startswith("image."):
            raise
        found = explain_error(subject, reading, error, tensor)
        return Examined(_failed(words, len(shown), found, str(error)), None)
    if seen.passes(reference):
        return _passed(subject, reading, seen, words, strict=strict)
    found = explain(subject, reading, seen, tensor)
    selftest = _failed(words, len(shown), found, words.missed(seen, reference))
    return Examined(
        selftest, _reference(subject, reading, seen, selftest, found) if strict else None, seen.mean
    )


def _passed(subject: Subject, reading: Reading, seen: Seen, words: Words, *, strict: bool) -> Examined:
    images = len(subject.shown)
    passed_on = None if strict else inherited(subject, reading, seen)
    if passed_on is not None:
        return Examined(_failed(words, images, passed_on, words.passed(seen, images)), None, seen.mean)
    text = words.passed(seen, images)
    suspect: Finding | None = _surer(subject, reading, seen) if strict else None
    selftest = passing(images, text, suspect)
    return Examined(
        selftest, _reference(subject, reading, seen, selftest, None) if strict else None, seen.mean
    )


def _surer(subject: Subject, reading: Reading, seen: Seen) -> Finding | None:
    """Return the other colour order that is surer by a margin; of what is not so sure, another scale too."""
    others = colours(reading) if seen.mean >= _SURE else [*colours(reading), *scales(reading)]
    for other in others:
        if subject.late:
            break
        try:
            better = subject.see(other.reading)
        except EdgedynoError:
            continue
        if better.passes(None) and better.mean > seen.mean + SURER:
            text = f"with `{other.changes[0]}` they are seen with {better.mean:.2f}"
            return Finding(other.code, text, other.changes, other.reading)
    return None


def passing(images: int, text: str, suspect: Finding | None) -> SelfTest:
    """Make the self-test of what passed, with what speaks for another reading."""
    if suspect is None:
        return SelfTest(passed=True, images=images, text=text)
    return SelfTest(
        passed=True,
        images=images,
        text=f"{text}; suspicious: {suspect.text}",
        changes=list(suspect.changes),
        suspect=suspect.code,
    )


def failing(images: int, text: str, found: Finding) -> SelfTest:
    """Make the self-test of what failed."""
    return SelfTest(
        passed=False, images=images, text=text, looks_like=found.code, changes=list(found.changes)
    )


def _failed(words: Words, images: int, found: Finding, what: str) -> SelfTest:
    return failing(images, words.failed(what, found.code, found.text), found)


def _reference(
    subject: Subject, reading: Reading, seen: Seen, selftest: SelfTest, found: Finding | None
) -> Reference:
    outputs, _ = subject.outputs(0, reading.input)
    return Reference(
        reading=reading,
        passed=selftest.passed,
        traits=symptoms.traits(outputs, reading.output.decoder),
        sure_boxes=seen.most_boxes,
        scores=[each.score for each in seen.sightings],
        looks_like=selftest.looks_like,
        changes=selftest.changes,
        better=found.better if found else None,
    )
