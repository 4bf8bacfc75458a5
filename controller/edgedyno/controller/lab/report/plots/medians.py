"""Median latency of each trial with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, colour_of
from edgedyno.controller.lab.report.plots.rows import MARK, draw_rows
from edgedyno.controller.lab.verdict.quantities import format_seconds, format_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.verdict import Choice

MILLI = 1e3


def draw_medians(choices: Sequence[Choice], limit_seconds: float | None, key: str) -> Markup | None:
    """Draw a bar from zero, a dot at the median and a whisker over its interval for each trial."""
    rows = [(choice, latency) for choice in choices if (latency := choice.latency_seconds) is not None]
    if not rows:
        return None
    labels = [(choice.label, _value(choice)) for choice, _ in rows]
    drawing = draw_rows(labels)
    axes = drawing.axes
    for row, (choice, latency) in enumerate(rows):
        y, colour = row + MARK, colour_of(choice.precision)
        axes.barh(y, latency.p50 * MILLI, height=0.16, color=colour, alpha=0.28, linewidth=0)
        if latency.p50_low is not None and latency.p50_high is not None:
            low, high = latency.p50_low * MILLI, latency.p50_high * MILLI
            axes.plot([low, high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            axes.vlines([low, high], y - 0.12, y + 0.12, color=colour, linewidth=1.4)
        axes.plot(latency.p50 * MILLI, y, MARKER.get(choice.precision, "o"), color=colour, markersize=5.5)
    most = max((latency.p50_high or latency.p50) for _, latency in rows) * MILLI
    axes.set_xlim(0, most * 1.04)
    if limit_seconds is not None and limit_seconds * MILLI < most * 1.04:
        axes.axvline(limit_seconds * MILLI, color=COLOUR["bad"], linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlabel(say("milliseconds"), fontsize=10)
    words = say("; ").join(say("{label}: {text}", label=label, text=value) for label, value in labels)
    return drawing.svg(key, say("Median latency with its 95 % interval"), words)


def _value(choice: Choice) -> str:
    latency = choice.latency_seconds
    if latency is None:
        return ""
    median = format_seconds(latency.p50)
    if latency.p50_low is None or latency.p50_high is None:
        return median
    return f"{median}  ({format_span(latency.p50_low, latency.p50_high, format_seconds)})"
