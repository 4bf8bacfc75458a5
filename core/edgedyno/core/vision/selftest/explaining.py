"""Why a variant fails its self-test: the numbers themselves, another reading that makes it pass, or damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.core.errors import EdgedynoError
from edgedyno.core.vision.selftest import symptoms
from edgedyno.core.vision.selftest.alternatives import (
    DTYPE,
    combined,
    of_input,
    of_output,
    turned,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.vision.selftest.alternatives import Alternative, Reading
    from edgedyno.core.vision.selftest.symptoms import InputTensor
    from edgedyno.core.vision.selftest.trying import Seen, Subject

CLASSES = "output.classes"
DAMAGE = "quantization.damage"
# How much surer another reading has to be of what is lost, mean over it: the scores of one object differ by up to
# 0.2 between letterboxes, which are no fault.
_GAIN = 0.25
# Where FP32 passes with the same reading, the variant's file alone can want another one: a stronger claim.
_STRONG_GAIN = 0.4
_MOST_NAMED = 3


class Finding(NamedTuple):
    """What a failure looks like; `code` is None where nothing explains it."""

    code: str | None
    text: str
    changes: tuple[str, ...] = ()
    better: Reading | None = None


class _Tried(NamedTuple):
    alternative: Alternative
    seen: Seen


def explain(subject: Subject, reading: Reading, seen: Seen, tensor: InputTensor | None) -> Finding:
    """Return what explains that not all is seen, most telling first."""
    outputs, _ = subject.outputs(0, reading.input)
    text = symptoms.not_a_number(outputs)
    if text is not None:
        return Finding(symptoms.NOT_A_NUMBER, text)
    unfit = None if tensor is None else symptoms.unfit_input(subject.tensor(0, reading.input), tensor)
    if unfit is None:
        text = _constant(subject, reading)
        if text is not None:
            alive = subject.reference is not None and subject.reference.passed
            more = "FP32's vary: everything may be clipped or rounded away on the way"
            return Finding(symptoms.CONSTANT, f"{text}; {more}" if alive else text)
    passed_on = inherited(subject, reading, seen)
    if passed_on is not None:
        return passed_on
    search = _Search(subject, reading, seen)
    best = search.best([*of_output(reading), *of_input(reading, tensor)])
    if unfit is not None:
        return Finding(
            DTYPE, unfit + _cure(best), best.changes if best else (), best.better if best else None
        )
    if best is not None:
        return best
    return (
        _classes(seen)
        or _by_numbers(subject, reading)
        or search.best(combined(reading))
        or _unexplained(subject, seen, search)
    )


def explain_error(
    subject: Subject, reading: Reading, error: EdgedynoError, tensor: InputTensor | None
) -> Finding:
    """Return what explains that the variant does not run or its output cannot be decoded."""
    if error.code == symptoms.NOT_A_NUMBER:
        text = symptoms.not_a_number(subject.outputs(0, reading.input)[0])
        return Finding(symptoms.NOT_A_NUMBER, text or str(error))
    search = _Search(subject, reading, None)
    if error.code.startswith("output."):
        others = [*of_output(reading), *of_input(reading, tensor)]
    else:
        others = [turned(reading)]
    return search.best(others) or Finding(None, "nothing here explains it" + search.left_out())


def inherited(subject: Subject, reading: Reading, seen: Seen) -> Finding | None:
    """Return FP32's failure where its cure helps here too: half of FP32's score hides a wrong colour order."""
    reference = subject.reference
    if reference is None or reference.passed or reference.better is None or reading != reference.reading:
        return None
    try:
        better = subject.see(reference.better)
    except EdgedynoError:
        return None
    if better.mean <= seen.mean:
        return None
    text = f"FP32 fails alike, and what mends it helps here: {better.mean:.2f} in place of {seen.mean:.2f} on average"
    return Finding(reference.looks_like, text, tuple(reference.changes), reference.better)


def _constant(subject: Subject, reading: Reading) -> str | None:
    """Say that the outputs do not depend on the image; a single image is shown in the mirror too."""
    first, _ = subject.outputs(0, reading.input)
    try:
        if len(subject.shown) > 1:
            second, _ = subject.outputs(1, reading.input)
        else:
            tensor = subject.tensor(0, reading.input)
            second = subject.infer(symptoms.mirrored(tensor, reading.input.layout))
    except EdgedynoError:
        return None
    return symptoms.constant(first, second)


class _Search:
    """Other readings, tried one by one while there is time."""

    def __init__(self, subject: Subject, reading: Reading, stated: Seen | None) -> None:
        self._subject = subject
        self._reading = reading
        self._stated = stated
        self._skipped = 0
        self.close: list[str] = []
        """What would pass too, but not by enough to call it the cause."""

    def best(self, others: Iterable[Alternative]) -> Finding | None:
        """Return the reading with which all is seen, and what was lost surely enough; None: none does."""
        passing = [each for each in map(self._try, others) if each is not None]
        telling = sorted(
            (each for each in passing if self._gain(each) >= self._wanted()), key=lambda each: -each.seen.mean
        )
        if not telling:
            self.close += [
                ", ".join(each.alternative.changes) for each in passing if each.alternative.changes
            ]
            return None
        first = telling[0].alternative
        named = [_named(each) for each in telling[:_MOST_NAMED]]
        text = f"all is seen: {named[0]} on average"
        if self._stated is not None:
            text = f"all is seen: {named[0]} on average in place of {self._stated.mean:.2f}"
        if len(named) > 1:
            text = f"{text} (likewise {'; '.join(named[1:])})"
        return Finding(first.code, text, first.changes, first.reading)

    def _try(self, other: Alternative) -> _Tried | None:
        if self._subject.late:
            self._skipped += 1
            return None
        try:
            seen = self._subject.see(other.reading)
        except EdgedynoError:
            return None
        return _Tried(other, seen) if seen.passes(self._subject.reference) else None

    def _gain(self, tried: _Tried) -> float:
        if self._stated is None or self._stated.noise(self._subject.reference) is not None:
            return 1.0
        pairs = list(zip(self._stated.sightings, tried.seen.sightings, strict=True))
        lost = [(before, after) for before, after in pairs if not before.seen] or pairs
        gain = sum(after.score - before.score for before, after in lost) / len(lost)
        return gain if tried.seen.mean > self._stated.mean else 0.0

    def _wanted(self) -> float:
        reference = self._subject.reference
        same = reference is not None and reference.passed and reference.reading == self._reading
        return _STRONG_GAIN if same else _GAIN

    def left_out(self) -> str:
        """Say what there was no time for, and what came close."""
        said = []
        if self.close:
            said.append(f"{', '.join(self.close[:_MOST_NAMED])} would pass, by too little to blame it")
        if self._skipped:
            said.append(f"there was no time for {self._skipped} other readings")
        return "".join(f"; {one}" for one in said)


def _named(tried: _Tried) -> str:
    changes = ", ".join(f"`{change}`" for change in tried.alternative.changes)
    return f"with {changes or _UNNAMED[tried.alternative.reading.activation]}: {tried.seen.mean:.2f}"


_UNNAMED = {
    "missing": "scores put through the sigmoid that the model leaves out",
    "doubled": "scores taken back from a second sigmoid or softmax",
    "": "the pixels as the integers of its input, whatever scale its file states",
}


def _cure(best: Finding | None) -> str:
    return f"; {best.text}" if best else ""


def _classes(seen: Seen) -> Finding | None:
    """Return that other classes are seen in the objects' places, all or nearly so."""
    instead = [each for each in seen.lost if each.instead is not None]
    if len(instead) < 2 or len(instead) < len(seen.sightings) - 1:  # noqa: PLR2004 - one confusion is a mistake, no order
        return None
    return Finding(
        CLASSES, "something else is seen in the place of each: are `classes` in the model's order?"
    )


def _by_numbers(subject: Subject, reading: Reading) -> Finding | None:
    """Return what the outputs' numbers say beside FP32's."""
    reference = subject.reference
    if reference is None or not reference.passed:
        return None
    outputs, _ = subject.outputs(0, reading.input)
    found = symptoms.traits(outputs, reading.output.decoder)
    text = symptoms.coarse(found, reference.traits)
    if text is not None:
        return Finding(symptoms.SHARED_SCALE, text)
    text = symptoms.clipped(found, reference.traits)
    return None if text is None else Finding(symptoms.CLIPPED, text)


def _unexplained(subject: Subject, seen: Seen, search: _Search) -> Finding:
    """Return damage where FP32 sees what is mostly lost here; else that nothing explains it."""
    reference = subject.reference
    objects = len(seen.sightings)
    if reference is not None and reference.passed and reference.scores and objects:
        usual = sum(reference.scores) / len(reference.scores)
        if 2 * len(seen.lost) > objects and seen.mean < 0.5 * usual:
            text = f"FP32 sees all with {usual:.2f} on average, and no other reading of the profile helps"
            return Finding(DAMAGE, text + search.left_out())
        return Finding(
            None, "FP32 sees all, nothing here explains it, and it may be no more than a loss of accuracy"
        )
    return Finding(None, f"nothing here explains it, is it the right file?{search.left_out()}")
