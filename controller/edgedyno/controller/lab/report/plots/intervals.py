"""Rows of values with their intervals: accuracies of variants, and what each class loses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, SMALL, colour_of
from edgedyno.controller.lab.report.plots.rows import MARK, draw_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from edgedyno.core.result import Bounded

ROW_HEIGHT = 34.0


class Row(NamedTuple):
    """One value with its name and what is written beside it."""

    label: str
    text: str
    precision: str
    value: Bounded
    hollow: bool = False


def draw_intervals(
    rows: Sequence[Row],
    key: str,
    *,
    title: str,
    write: Callable[[float], str],
    limits: Sequence[float] = (),
    zero_line: bool = False,
) -> Markup | None:
    """Draw a mark with a whisker for each row; None where there are none."""
    if not rows:
        return None
    drawing = draw_rows([(row.label, row.text) for row in rows], row_height=ROW_HEIGHT)
    axes = drawing.axes
    if zero_line:
        axes.axvline(0, color=COLOUR["muted"], linewidth=1.0)
    for place, row in enumerate(rows):
        y, colour, one = place + MARK + 0.05, colour_of(row.precision), row.value
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [y, y], color=colour, linewidth=2.0, solid_capstyle="butt")
            axes.vlines([one.low, one.high], y - 0.12, y + 0.12, color=colour, linewidth=1.3)
        face = COLOUR["surface"] if row.hollow else colour
        marker = MARKER.get(row.precision, "o")
        axes.plot(
            one.value, y, marker, color=colour, markersize=6, markerfacecolor=face, markeredgecolor=colour
        )
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    if not zero_line:
        axes.set_xlim(max(0.0, low), high)
    for limit in limits:
        if low < limit < high:
            axes.axvline(limit, color=COLOUR["bad"], linewidth=1.2, linestyle=(0, (4, 3)))
    axes.tick_params(labelsize=SMALL)
    axes.xaxis.set_major_formatter(lambda value, _: write(value))
    words = say("; ").join(say("{label}: {text}", label=row.label, text=row.text) for row in rows)
    return drawing.svg(key, title, words)
