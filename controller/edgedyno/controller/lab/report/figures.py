"""The figures of one board: what is drawn, with which limits, and why something is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.report import plots
from edgedyno.controller.lab.report.fidelity import by_variant, name_variants
from edgedyno.controller.lab.verdict import quantities
from edgedyno.core.result import Bounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.report.classes import ClassDrops
    from edgedyno.controller.lab.report.plots import Drift
    from edgedyno.controller.lab.verdict import Choice, Verdict
    from edgedyno.core.result import Result, Samples

# More rows than this make figures that nobody reads; the table still has every trial.
MAX_ROWS = 24


@dataclass(frozen=True)
class Picture:
    """A figure with what a reader has to know of it; without a drawing the note says why."""

    title: str
    note: str
    drawing: Markup | None = None


@dataclass(frozen=True)
class Figures:
    """All figures of one board."""

    pictures: list[Picture]
    drifts: list[Drift]
    any_invalid: bool
    left_out: int
    histories: list[Picture]
    """Temperatures and clocks over the run; empty where the board told neither."""


def draw_figures(
    verdict: Verdict,
    measured: Sequence[Choice],
    samples: Sequence[tuple[Choice, Samples | None]],
    results: Mapping[str, Result],
    key: str,
) -> Figures:
    """Draw what was measured; `samples` are those of the trials that are shown row by row."""
    shown = [choice for choice, _ in samples]
    drifts, any_invalid = plots.draw_drifts(samples, f"{key}-drift")
    pictures = [
        _medians(verdict, shown, key),
        _spreads(samples, key),
        _quality(verdict, measured, results, key),
        _energies(verdict, measured, key),
        _accuracies(verdict, results, key),
        _ratios(verdict, key),
        _runtimes(verdict, key),
    ]
    return Figures(
        [one for one in pictures if one is not None],
        drifts,
        any_invalid,
        len(measured) - len(shown),
        _histories(samples, key),
    )


def _histories(samples: Sequence[tuple[Choice, Samples | None]], key: str) -> list[Picture]:
    series = [one.board for _, one in samples if one is not None and one.board is not None]
    found = plots.draw_histories(series, f"{key}-board")
    pictures = []
    for title, history in (
        (say("Temperature over the run"), found.temperature),
        (say("Clocks over the run"), found.clock),
    ):
        if history is None:
            continue
        notes = [say("Lines break where nobody looked.")]
        if found.throttled_moments:
            notes.append(say("Red marks at the bottom: the board throttled."))
        elif any(one.throttle_visible for one in series):
            notes.append(say("The board was not throttled at any moment that was looked at."))
        if history.left_out:
            notes.append(say("{count} more are not drawn.", count=history.left_out))
        pictures.append(Picture(title, say(" ").join(notes), history.drawing))
    return pictures


def _limited(note: str, *limits: float | None) -> str:
    if all(limit is None for limit in limits):
        return note
    return say(" ").join([note, say("The dashed red line is the job's limit.")])


def _medians(verdict: Verdict, shown: Sequence[Choice], key: str) -> Picture | None:
    limit = verdict.requirements.latency_p50
    drawing = plots.draw_medians(shown, limit, f"{key}-medians")
    note = say("Shorter is better. The whisker is the interval of the median.")
    title = say("Median latency with its 95 % interval")
    return Picture(title, _limited(note, limit), drawing) if drawing else None


def _spreads(samples: Sequence[tuple[Choice, Samples | None]], key: str) -> Picture | None:
    drawing = plots.draw_spreads(samples, f"{key}-spreads")
    note = say(
        "Steady-state inferences only; a narrow hill is a steady trial. The tick marks p95 where enough samples "
        "support it."
    )
    return Picture(say("How latencies spread around each median"), note, drawing) if drawing else None


def _quality(
    verdict: Verdict, measured: Sequence[Choice], results: Mapping[str, Result], key: str
) -> Picture | None:
    """Draw latency against accuracy, or against agreement with FP32 where nothing is labelled."""
    points = [
        (choice, Bounded(choice.accuracy.value, choice.accuracy.low, choice.accuracy.high))
        for choice in measured
        if choice.accuracy
    ]
    if points:
        return _against_accuracy(verdict, points, key)
    agreed = [
        (choice, result.fidelity.agreement.matched)
        for choice in measured
        if (result := results.get(choice.trial)) and result.fidelity and result.fidelity.agreement
    ]
    if agreed:
        return _against_agreement(verdict, agreed, key)
    if not measured:
        return None
    reasons = [result.accuracy_reason for result in results.values() if result.accuracy_reason]
    reason = retell(max(set(reasons), key=reasons.count)) if reasons else say("it was not measured")
    note = say(
        "No accuracy was measured, so there is nothing to plot against latency: {reason}.", reason=reason
    )
    return Picture(say("Latency against accuracy"), note)


def _against_accuracy(verdict: Verdict, points: Sequence[tuple[Choice, Bounded]], key: str) -> Picture | None:
    metric = next(choice.accuracy.metric for choice, _ in points if choice.accuracy)
    require = verdict.requirements
    title = say("Latency against accuracy")
    quantity = plots.Quantity(
        title, metric, up=True, write=_short, limits=_floors(verdict, [choice for choice, _ in points])
    )
    note = say(
        "Up and to the left is better. Numbers are threads, bars 95 % intervals; hollow marks are not shown to "
        "meet the requirements. Nothing beats the trials on the dotted line in both."
    )
    note = _limited(note, require.latency_p50, require.accuracy, require.accuracy_drop)
    drawing = plots.draw_tradeoff(points, quantity, require.latency_p50, f"{key}-accuracy")
    return Picture(title, note, drawing) if drawing else None


def _against_agreement(
    verdict: Verdict, points: Sequence[tuple[Choice, Bounded]], key: str
) -> Picture | None:
    require = verdict.requirements
    title = say("Latency against agreement with FP32")
    axis = say("share of FP32's detections")
    limits = [require.agreement] if require.agreement is not None else []
    quantity = plots.Quantity(title, axis, up=True, write=quantities.format_percent, limits=limits)
    note = say(
        "Fidelity, not accuracy: there are no labels, so this shows how far each variant sees what FP32 sees, "
        "right or wrong. Up and to the left is better; nothing beats the trials on the dotted line in both."
    )
    note = _limited(note, require.latency_p50, require.agreement)
    drawing = plots.draw_tradeoff(points, quantity, require.latency_p50, f"{key}-agreement")
    return Picture(title, note, drawing) if drawing else None


def _energies(verdict: Verdict, measured: Sequence[Choice], key: str) -> Picture | None:
    points = [
        (choice, Bounded(energy.value, energy.low, energy.high))
        for choice in measured
        if (energy := choice.energy_joules_per_inference)
    ]
    scopes = {
        energy.scope for choice in measured if (energy := choice.energy_joules_per_inference) is not None
    }
    # Never rank across scopes: what a package takes says nothing of what a board does.
    if not points or len(scopes) > 1:
        return None
    require = verdict.requirements
    title = say("Latency against energy")
    limits = [require.energy] if require.energy is not None else []
    axis = say("energy per inference, {scope}", scope=next(iter(scopes)))
    quantity = plots.Quantity(title, axis, up=False, write=quantities.format_joules, limits=limits)
    note = say(
        "Down and to the left is better. Numbers are threads, bars 95 % intervals. Nothing beats the trials on "
        "the dotted line in both."
    )
    drawing = plots.draw_tradeoff(points, quantity, require.latency_p50, f"{key}-energy")
    return Picture(title, _limited(note, require.latency_p50, require.energy), drawing) if drawing else None


def _accuracies(verdict: Verdict, results: Mapping[str, Result], key: str) -> Picture | None:
    variants = [result for result in by_variant(results.values()) if result.accuracy][:MAX_ROWS]
    names = name_variants(variants)
    rows = []
    for result in variants:
        accuracy = result.accuracy
        if accuracy is None:
            continue
        value = Bounded(accuracy.value, accuracy.low, accuracy.high)
        text = quantities.format_ratio(accuracy.value)
        if accuracy.low is not None and accuracy.high is not None:
            span = quantities.format_span(accuracy.low, accuracy.high, quantities.format_ratio)
            text = say("{value} ({span})", value=text, span=span)
        rows.append(plots.Row(names[result.trial], text, result.precision, value))
    title = say("Accuracy of each variant with its 95 % interval")
    floors = _floors(verdict, verdict.choices)
    drawing = plots.draw_intervals(
        rows, f"{key}-accuracies", title=title, write=lambda value: f"{value:g}", limits=floors
    )
    note = say(
        "The interval is that of the images: other images of the same kind would score within it. Two intervals "
        "that overlap may still differ: the drop is judged on the same images, pair by pair."
    )
    return Picture(title, _limited(note, *floors), drawing) if drawing else None


def _floors(verdict: Verdict, choices: Sequence[Choice]) -> list[float]:
    """Return the least accuracies that the job allows."""
    require = verdict.requirements
    floors = [require.accuracy] if require.accuracy is not None else []
    reference = next(
        (one.accuracy.value for one in choices if one.precision == "fp32" and one.accuracy), None
    )
    if require.accuracy_drop is not None and reference is not None:
        floors.append(reference - require.accuracy_drop)
    return floors


def _ratios(verdict: Verdict, key: str) -> Picture | None:
    drawing = plots.draw_ratios(verdict.comparisons[:MAX_ROWS], verdict.margin, f"{key}-ratios")
    note = say(
        "Latency ratio on the same runtime: left of 1 is faster. Inside the grey band a difference does not "
        "count. All intervals hold together; a hollow mark was not measured side by side."
    )
    return Picture(say("Each precision against FP32"), note, drawing) if drawing else None


def _runtimes(verdict: Verdict, key: str) -> Picture | None:
    labels = {choice.trial: choice.label for choice in verdict.choices}
    shown = verdict.runtimes[:MAX_ROWS]
    drawing = plots.draw_runtimes(shown, labels, verdict.margin, f"{key}-runtimes")
    note = say(
        "Latency of the trial to deploy over that of the best of each other runtime: left of 1 the trial to "
        "deploy is faster. Inside the grey band a difference does not count."
    )
    return Picture(say("Runtime against runtime"), note, drawing) if drawing else None


def draw_classes(drops: ClassDrops, key: str) -> Markup | None:
    """Draw the classes that a variant loses most in."""
    rows = []
    for row in drops.shown:
        text = quantities.format_points(row.drop.value)
        if row.drop.low is not None and row.drop.high is not None:
            span = quantities.format_span(row.drop.low, row.drop.high, quantities.format_points)
            text = say("{value} ({span})", value=text, span=span)
        label = row.name
        if row.boxes is not None:
            label = say("{name} · {count} labelled", name=row.name, count=row.boxes)
        rows.append(plots.Row(label, text, drops.precision, row.drop, row.few))
    title = say("Drop of each class against FP32: {variant}", variant=drops.variant)
    return plots.draw_intervals(
        rows, key, title=title, write=lambda value: f"{value * 100:.0f} pt", zero_line=True
    )


def _short(value: float) -> str:
    return f"{value:.2f}"
