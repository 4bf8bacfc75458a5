"""The forest plot: each precision's latency over FP32's, with intervals that hold together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.ticker import FixedLocator, NullLocator

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, SMALL, colour_of
from edgedyno.controller.lab.report.plots.rows import MARK, draw_rows
from edgedyno.controller.lab.verdict.comparisons import settings_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from edgedyno.controller.lab.verdict import Comparison, RatioInterval
    from edgedyno.controller.lab.verdict.model import RuntimeComparison

TICKS = (
    0.1,
    0.2,
    0.25,
    0.33,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    1.0,
    1.1,
    1.25,
    1.5,
    2.0,
    2.5,
    3.0,
    4.0,
    5.0,
    10.0,
)
MAX_TICKS = 8


class _Row(NamedTuple):
    label: str
    precision: str
    ratio: RatioInterval


def draw_ratios(comparisons: Sequence[Comparison], margin: float, key: str) -> Markup | None:
    """Draw a whisker for each comparison with FP32; hollow marks were not measured side by side."""
    several = len({item.runtime for item in comparisons}) > 1
    rows = [
        _Row(_label(item, runtime=several), item.precision, ratio)
        for item in comparisons
        if item.other_precision == "fp32" and (ratio := item.ratio) is not None
    ]
    sides = (say("← faster than FP32"), say("slower than FP32 →"))
    return _draw(rows, margin, key, say("Each precision against FP32"), sides)


def draw_runtimes(
    comparisons: Sequence[RuntimeComparison], labels: Mapping[str, str], margin: float, key: str
) -> Markup | None:
    """Draw the trial to deploy against the best of each other runtime; `labels` names trials."""
    rows = [
        _Row(labels.get(item.other, item.other_runtime), "other", ratio)
        for item in comparisons
        if (ratio := item.ratio) is not None
    ]
    sides = (say("← the trial to deploy is faster"), say("it is slower →"))
    return _draw(rows, margin, key, say("Runtime against runtime"), sides)


def _draw(rows: Sequence[_Row], margin: float, key: str, title: str, sides: tuple[str, str]) -> Markup | None:
    if not rows:
        return None
    drawing = draw_rows([(row.label, _value(row.ratio)) for row in rows])
    axes = drawing.axes
    axes.axvspan(1 / (1 + margin), 1 + margin, color=COLOUR["band"], linewidth=0)
    axes.axvline(1, color=COLOUR["muted"], linewidth=1.0)
    for place, row in enumerate(rows):
        _whisker(axes, place + MARK, row)
    axes.set_xscale("log")
    low, high = _limits([row.ratio for row in rows], margin)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low, high)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    below: dict[str, Any] = {
        "transform": axes.transAxes,
        "fontsize": SMALL,
        "color": COLOUR["muted"],
        "va": "top",
    }
    drop = -26 / (drawing.height * axes.get_position().height)
    axes.text(0, drop, sides[0], ha="left", **below)
    axes.text(1, drop, sides[1], ha="right", **below)
    words = say("; ").join(say("{label}: {text}", label=row.label, text=_value(row.ratio)) for row in rows)
    return drawing.svg(key, title, words)


def _whisker(axes: Axes, y: float, row: _Row) -> None:
    ratio, colour = row.ratio, colour_of(row.precision)
    axes.plot([ratio.low, ratio.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.vlines([ratio.low, ratio.high], y - 0.12, y + 0.12, color=colour, linewidth=1.4)
    face = colour if ratio.paired else COLOUR["surface"]
    marker = MARKER.get(row.precision, "o")
    axes.plot(
        ratio.value, y, marker, color=colour, markersize=6, markerfacecolor=face, markeredgecolor=colour
    )


def _label(item: Comparison, *, runtime: bool) -> str:
    return f"{item.precision.upper()} · {settings_in_words(item, runtime=runtime)}"


def _value(ratio: RatioInterval) -> str:
    span = say("{low} to {high}", low=f"{ratio.low:.2f}", high=f"{ratio.high:.2f}")
    return f"{ratio.value:.2f}  ({span})"


def _limits(ratios: list[RatioInterval], margin: float) -> tuple[float, float]:
    least = min(1 / (1 + 2 * margin), *(ratio.low for ratio in ratios))
    most = max(1 + 2 * margin, *(ratio.high for ratio in ratios))
    room = max(0.06 * math.log(most / least), 0.02)
    return least * math.exp(-room), most * math.exp(room)


def _ticks(low: float, high: float) -> list[float]:
    ticks = [tick for tick in TICKS if low <= tick <= high]
    if len(ticks) < 3:  # noqa: PLR2004 (the axis is so short that the fixed ticks miss it)
        step = 0.05 if high - low > 0.1 else 0.02  # noqa: PLR2004 (likewise)
        ticks = [1 + step * index for index in range(-10, 11) if low <= 1 + step * index <= high]
    while len(ticks) > MAX_TICKS:
        ticks = [tick for index, tick in enumerate(ticks) if tick == 1 or index % 2]
    return ticks
