"""The forest plot: each precision's latency over FP32's, with intervals that hold together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FixedLocator, NullLocator

from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, SMALL, colour_of
from edgedyno.controller.lab.report.plots.rows import MARK, draw_rows
from edgedyno.controller.lab.verdict.comparisons import settings_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.report.texts import Texts
    from edgedyno.controller.lab.verdict import Comparison, RatioInterval

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


def draw_ratios(comparisons: Sequence[Comparison], margin: float, texts: Texts, key: str) -> Markup | None:
    """Draw a whisker for each comparison with FP32; hollow marks were not measured side by side."""
    rows = [
        (item, ratio)
        for item in comparisons
        if item.other_precision == "fp32" and (ratio := item.ratio) is not None
    ]
    if not rows:
        return None
    several = len({item.runtime for item in comparisons}) > 1
    labels = [
        (f"{item.precision.upper()} · {settings_in_words(item, runtime=several)}", _value(ratio))
        for item, ratio in rows
    ]
    drawing = draw_rows(labels)
    axes = drawing.axes
    axes.axvspan(1 / (1 + margin), 1 + margin, color=COLOUR["band"], linewidth=0)
    axes.axvline(1, color=COLOUR["muted"], linewidth=1.0)
    for row, (item, ratio) in enumerate(rows):
        y, colour = row + MARK, colour_of(item.precision)
        axes.plot([ratio.low, ratio.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.vlines([ratio.low, ratio.high], y - 0.12, y + 0.12, color=colour, linewidth=1.4)
        marker = MARKER.get(item.precision, "o")
        face = colour if ratio.paired else COLOUR["surface"]
        axes.plot(
            ratio.value, y, marker, color=colour, markersize=6, markerfacecolor=face, markeredgecolor=colour
        )
    axes.set_xscale("log")
    low, high = _limits([ratio for _, ratio in rows], margin)
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
    axes.text(0, drop, f"← {texts.faster}", ha="left", **below)
    axes.text(1, drop, f"{texts.slower} →", ha="right", **below)
    words = "; ".join(f"{label}: {value}" for label, value in labels)
    return drawing.svg(key, texts.ratios_title, words)


def _value(ratio: RatioInterval) -> str:
    return f"{ratio.value:.2f}  ({ratio.low:.2f} to {ratio.high:.2f})"


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
