"""Run the self-test of a profile on its FP32 model, and where it fails find out which keys are to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import check_has_source
from edgedyno.controller.lab.selftest.alternatives import colours, combined, single
from edgedyno.controller.lab.selftest.sighting import Model, Sighting, index_of, look
from edgedyno.core.errors import EdgedynoError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.profiles import Found
    from edgedyno.controller.lab.selftest.alternatives import Alternative
    from edgedyno.core.profile import ModelProfile

# A reading that is this much surer is worth a word, though the stated one passes: of the bundled models and three of
# YOLO's, letterboxes and stretching differ by less on the known images, and a wrong colour order by 0.2 where it shows.
SURER = 0.15
_MOST_ADVICE = 3


class SelfTest(Struct, frozen=True):
    """What came of a self-test."""

    passed: bool | None
    """None: the profile has no known image, or none that is for its classes."""
    lines: list[str]
    """What differs, or why there is no test; empty when all is well."""
    advice: list[str] = []
    """Which keys of the profile, if they were different, would make it pass, or surer."""
    score: float | None = None
    """How surely the expected objects are seen, mean over them."""


def run_selftest(found: Found[ModelProfile]) -> SelfTest:
    """Look at the profile's known images with its FP32 model in ONNX Runtime.

    Raises ConfigError (profile.template, model.classes, selftest.image), RunError (model.load) for what makes
    a test impossible.
    """
    profile = found.profile
    check_has_source(found)
    if not profile.selftest:
        return SelfTest(None, ["the profile names no known image (`selftest`)"])
    names = class_names(profile.classes, base=found.base)
    try:
        for known in profile.selftest:
            for expected in known.expect:
                index_of(expected, names)
    except EdgedynoError as error:
        return SelfTest(None, [str(error)])
    tester = _Tester(Model(found.base / profile.source), names, found.base)
    return tester.judge(profile)


def selftest_lines(result: SelfTest) -> list[str]:
    """Put a self-test into words, a line each."""
    head = {True: "ok", False: "failed", None: "none"}[result.passed]
    score = "" if result.score is None else f": known objects are seen with {result.score:.2f} on average"
    return [f"self-test: {head}{score}", *(f"  {line}" for line in (*result.lines, *result.advice))]


class _Tester:
    """A loaded model, asked again and again with different profiles."""

    def __init__(self, model: Model, names: list[str], base: Path) -> None:
        self._model = model
        self._names = names
        self._base = base

    def judge(self, profile: ModelProfile) -> SelfTest:
        """Test the profile, and others beside it."""
        try:
            stated = self._look(profile)
        except EdgedynoError as error:
            if error.code.startswith(("selftest.", "image.")):
                raise
            better = self._passing(single(profile), 0.0)
            return SelfTest(passed=False, lines=[str(error)], advice=_would_pass(better))
        score = _mean(stated)
        if all(each.seen for each in stated):
            surer = self._passing(colours(profile), score + SURER)
            advice = [f"it would be surer with {words}: {value:.2f}" for words, value in surer[:1]]
            return SelfTest(passed=True, lines=[], advice=advice, score=score)
        lines = [each.text for each in stated if not each.seen]
        better = self._passing(single(profile), score) or self._passing(combined(profile), score)
        return SelfTest(passed=False, lines=lines, advice=_would_pass(better), score=score)

    def _look(self, profile: ModelProfile) -> list[Sighting]:
        return [
            each
            for known in profile.selftest
            for each in look(self._model, profile, self._names, known, self._base)
        ]

    def _passing(self, alternatives: list[Alternative], above: float) -> list[tuple[str, float]]:
        """Return the alternatives that pass and are surer than `above`, the surest first."""
        passing = []
        for words, profile in alternatives:
            try:
                seen = self._look(profile)
            except EdgedynoError:
                continue
            if all(each.seen for each in seen) and _mean(seen) > above:
                passing.append((words, _mean(seen)))
        return sorted(passing, key=lambda each: -each[1])


def _mean(seen: list[Sighting]) -> float:
    return sum(each.score for each in seen) / len(seen)


def _would_pass(better: list[tuple[str, float]]) -> list[str]:
    if not better:
        text = "no other colour order, scale, resizing, unit of boxes or decoder passes either: is it the right file"
        return [f"{text}, and are `classes` in its order?"]
    return [f"it would pass with {words} ({value:.2f})" for words, value in better[:_MOST_ADVICE]]
