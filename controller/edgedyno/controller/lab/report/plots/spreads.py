"""How the latencies of each trial spread around its own median."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, colour_of
from edgedyno.controller.lab.report.plots.rows import draw_rows
from edgedyno.controller.lab.verdict.quantities import format_seconds
from edgedyno.core.statistics import steady_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.result import Samples

BINS = 120
ROW_HEIGHT, HILL = 54.0, 0.5
# Beyond these a few stragglers would squeeze every hill; they are counted in words instead.
LOWEST, HIGHEST = -0.5, 1.5


class _Row(NamedTuple):
    choice: Choice
    deviations: NDArray[np.float64]


def draw_spreads(choices: Sequence[tuple[Choice, Samples | None]], key: str) -> Markup | None:
    """Draw a density for each trial over the deviation from its median in percent."""
    rows = [row for choice, samples in choices if (row := _row(choice, samples)) is not None]
    if not rows:
        return None
    low, high = _range(rows)
    labels = [(row.choice.label, _value(row, high)) for row in rows]
    drawing = draw_rows(labels, row_height=ROW_HEIGHT)
    axes = drawing.axes
    edges = np.linspace(low, high, BINS + 1)
    for position, row in enumerate(rows):
        base, colour = position + 0.45, colour_of(row.choice.precision)
        density = _density(row.deviations, edges)
        centres = (edges[:-1] + edges[1:]) * 50
        axes.fill_between(centres, base, base - HILL * density, color=colour, alpha=0.35, linewidth=0)
        axes.plot(centres, base - HILL * density, color=colour, linewidth=1.3)
        _mark_tail(axes, row, base, high)
    axes.axvline(0, color=COLOUR["muted"], linewidth=0.8)
    axes.set_xlim(low * 100, high * 100)
    middle = say("median")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %" if value else middle)
    axes.set_xlabel("")
    words = say("; ").join(say("{label}: {text}", label=label, text=value) for label, value in labels)
    return drawing.svg(key, say("How latencies spread around each median"), words)


def _row(choice: Choice, samples: Samples | None) -> _Row | None:
    latency = choice.latency_seconds
    if samples is None or latency is None:
        return None
    values = np.array([second for group in steady_groups(samples) for second in group])
    return _Row(choice, values / latency.p50 - 1) if len(values) > 1 else None


def _range(rows: list[_Row]) -> tuple[float, float]:
    low = min(float(np.percentile(row.deviations, 0.5)) for row in rows)
    high = max(float(np.percentile(row.deviations, 98)) for row in rows)
    return max(min(low, -0.02) * 1.1, LOWEST), min(max(high, 0.02) * 1.15, HIGHEST)


def _density(deviations: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smoothed histogram with its peak at 1; the kernel follows Silverman's rule."""
    counts = np.histogram(deviations, bins=edges)[0].astype(np.float64)
    spread = float(np.subtract(*np.percentile(deviations, [75, 25]))) / 1.34
    bins = max(0.9 * spread * len(deviations) ** -0.2 / float(edges[1] - edges[0]), 0.7)
    reach = np.arange(-int(4 * bins) - 1, int(4 * bins) + 2)
    kernel = np.exp(-0.5 * (reach / bins) ** 2)
    smooth = np.convolve(counts, kernel / kernel.sum(), mode="full")
    start = len(reach) // 2
    smooth = smooth[start : start + len(counts)]
    return smooth / peak if (peak := float(smooth.max())) > 0 else smooth


def _mark_tail(axes: Axes, row: _Row, base: float, high: float) -> None:
    latency = row.choice.latency_seconds
    if latency is None or latency.p95 is None:
        return
    place = latency.p95 / latency.p50 - 1
    if place <= high:
        axes.vlines(place * 100, base - 0.2, base, color=COLOUR["ink"], linewidth=1.4)


def _value(row: _Row, high: float) -> str:
    latency = row.choice.latency_seconds
    outside = int(np.sum(row.deviations > high))
    parts = [f"p95 {format_seconds(latency.p95)}"] if latency and latency.p95 is not None else []
    if outside:
        parts.append(say("{count} of {all} beyond", count=outside, all=len(row.deviations)))
    return say(", ").join(parts)
