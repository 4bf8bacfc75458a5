"""How near each variant comes to FP32 without labels, and what its self-test and its threads check said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.fidelity import looks_like_in_words
from edgedyno.controller.lab.verdict.labels import precision_in_words
from edgedyno.controller.lab.verdict.phrases import in_brackets

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.core.result import Agreement, OutputFidelity, Result

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Row:
    """One variant on one runtime: its name, and cells of words."""

    name: str
    precision: str
    cells: list[str]


@dataclass(frozen=True)
class Test:
    """What checks of a variant said."""

    name: str
    precision: str
    passed: bool
    text: str


@dataclass(frozen=True)
class FidelityTables:
    """All of one board."""

    agreements: list[Row]
    outputs: list[Row]
    references: list[str]
    tests: list[Test]
    reasons: list[tuple[str, int]]
    """Why there is no fidelity, and of how many variants that is said."""
    columns: list[str]
    """Heads of the columns of agreements."""

    def __bool__(self) -> bool:
        return bool(self.agreements or self.outputs or self.tests or self.reasons)


def by_variant(results: Iterable[Result]) -> list[Result]:
    """Return one result for each variant and runtime that ran: what threads do not change is the same in all."""
    found: dict[tuple[str | None, ...], Result] = {}
    for result in results:
        if result.status != "ok":
            continue
        key = (result.runtime, result.runtime_version, result.format, result.precision, result.variant)
        known = found.get(key)
        if known is None or (known.fidelity is None and result.fidelity is not None):
            found[key] = result
    order = {"fp32": 0, "fp16": 1, "int8": 2}
    return sorted(found.values(), key=lambda one: (one.runtime, order.get(one.precision, 3)))


def name_variants(results: Sequence[Result]) -> dict[str, str]:
    """Return a name for each trial's variant: the precision, and the runtime and format where they vary."""
    runtimes = {(result.runtime, result.runtime_version) for result in results}
    several = {name for name, count in Counter(name for name, _ in runtimes).items() if count > 1}
    formats = Counter(runtime for runtime, _ in {(result.runtime, result.format) for result in results})
    names = {}
    for result in results:
        parts = [precision_in_words(result)]
        if len(runtimes) > 1:
            version = f" {result.runtime_version}" if result.runtime in several else ""
            parts.append(f"{result.runtime}{version}")
        if formats[result.runtime] > 1:
            parts.append(result.format)
        names[result.trial] = " · ".join(parts)
    return names


def describe_fidelity(results: Sequence[Result]) -> FidelityTables:
    """Gather what is known of each variant of one board."""
    variants = by_variant(results)
    names = name_variants(variants)
    agreements, outputs, tests = [], [], []
    columns: list[str] = []
    references: dict[str, None] = {}
    for result in variants:
        name = names[result.trial]
        tests += _tests(result, name)
        found = result.fidelity
        if found is None:
            continue
        references[found.reference] = None
        if found.agreement is not None:
            cells = dict(_agreement(found.agreement))
            columns = list(cells)
            agreements.append(Row(name, result.precision, list(cells.values())))
        outputs += [Row(name, result.precision, _output(one)) for one in found.outputs]
    reasons = Counter(
        retell(reason)
        for result in variants
        if result.precision != "fp32" and (reason := _missing(result)) is not None
    )
    return FidelityTables(
        agreements, outputs, [retell(one) for one in references], tests, reasons.most_common(), columns
    )


def _missing(result: Result) -> str | None:
    found = result.fidelity
    if found is None:
        return result.fidelity_reason
    return found.agreement_reason if found.agreement is None else found.outputs_reason


def _agreement(found: Agreement) -> list[tuple[str, str]]:
    """Return the cells of an agreement with the heads of their columns."""
    matched = found.matched
    share = quantities.format_percent(matched.value)
    if matched.low is not None and matched.high is not None:
        span = quantities.format_span(matched.low, matched.high, quantities.format_percent)
        share = say("{value} ({span})", value=share, span=span)
    images = (say("Images"), str(found.images))
    if found.iou_threshold is None:
        return [(say("Same best class as FP32"), share), images]
    return [
        (say("Of FP32's detections it has"), share),
        (
            say("Of its own FP32 lacks"),
            NOTHING if found.extra is None else quantities.format_percent(found.extra),
        ),
        (say("Overlap of the matched"), NOTHING if found.mean_iou is None else f"{found.mean_iou:.3f}"),
        (say("Score shift"), NOTHING if found.score_shift is None else f"{found.score_shift:+.3f}"),
        images,
    ]


def output_columns() -> list[str]:
    """Return the heads of the columns of raw outputs."""
    return [say("Output"), say("SQNR"), say("Cosine"), say("Largest error")]


def _output(one: OutputFidelity) -> list[str]:
    exact = say("identical") if one.max_error == 0 else NOTHING
    return [
        one.name,
        exact if one.sqnr_db is None else f"{one.sqnr_db:.1f} dB",
        NOTHING if one.cosine is None else f"{one.cosine:.5f}",
        f"{one.max_error:.3g}",
    ]


def _tests(result: Result, name: str) -> list[Test]:
    tests = []
    test, threads = result.selftest, result.threads_check
    if test is not None:
        text = test.text if test.looks_like is None else in_brackets(looks_like_in_words(test), test.text)
        tests.append(Test(name, result.precision, test.passed, retell(text)))
    elif result.selftest_reason:
        tests.append(
            Test(
                name,
                result.precision,
                passed=True,
                text=say("no self-test: {reason}", reason=result.selftest_reason),
            )
        )
    if threads is not None:
        tests.append(Test(name, result.precision, threads.identical, retell(threads.text)))
    return tests
