"""Latency against accuracy, with both intervals, the limits and the front that nothing beats in both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, SMALL, Drawing, colour_of
from edgedyno.controller.lab.verdict.quantities import format_ratio, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from edgedyno.controller.lab.report.texts import Texts
    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.job import Require

HEIGHT = 330.0
MILLI = 1e3
# Labels of precisions that often coincide go different ways.
LABEL_OFFSET = {"fp32": (7, 6), "fp16": (7, -11), "int8": (7, 6)}


def draw_accuracies(choices: Sequence[Choice], require: Require, texts: Texts, key: str) -> Markup | None:
    """Draw each trial that has both; None where no trial has an accuracy."""
    points = [choice for choice in choices if choice.latency_seconds and choice.accuracy]
    if not points:
        return None
    drawing = Drawing(HEIGHT, left=46, bottom=42, top=34)
    axes = drawing.axes
    axes.grid(axis="y", color=COLOUR["grid"], linewidth=0.8)
    for choice in points:
        _draw_point(axes, choice)
    _draw_front(axes, points)
    axes.margins(0.12, 0.14)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    _draw_limits(axes, points, require)
    metric = next(choice.accuracy.metric for choice in points if choice.accuracy)
    axes.set_xlabel(f"{texts.median}, {texts.milliseconds}", fontsize=SMALL)
    axes.set_title(metric, fontsize=SMALL, color=COLOUR["muted"], loc="left", pad=8)
    _legend(axes, points)
    return drawing.svg(key, texts.scatter_title, "; ".join(_words(choice) for choice in points))


def _draw_point(axes: Axes, choice: Choice) -> None:
    latency, accuracy = choice.latency_seconds, choice.accuracy
    if latency is None or accuracy is None:
        return
    x, y, colour = latency.p50 * MILLI, accuracy.value, colour_of(choice.precision)
    if accuracy.low is not None and accuracy.high is not None:
        axes.vlines(x, accuracy.low, accuracy.high, color=colour, linewidth=1.2, alpha=0.55)
    if latency.p50_low is not None and latency.p50_high is not None:
        axes.hlines(y, latency.p50_low * MILLI, latency.p50_high * MILLI, color=colour, linewidth=1.2)
    counts = choice.status in {"recommended", "acceptable"}
    face = colour if counts else COLOUR["surface"]
    marker = MARKER.get(choice.precision, "o")
    axes.plot(x, y, marker, markersize=7, color=colour, markerfacecolor=face, markeredgecolor=colour)
    if choice.status == "recommended":
        axes.plot(x, y, "o", markersize=15, markerfacecolor="none", markeredgecolor=COLOUR["good"], mew=1.8)
    offset = LABEL_OFFSET.get(choice.precision, (7, 6))
    if choice.status == "recommended":
        offset = (offset[0] + 4, offset[1] + 4)
    style: dict[str, Any] = {"fontsize": SMALL - 0.5, "color": colour, "textcoords": "offset points"}
    axes.annotate(f"{choice.threads}", (x, y), xytext=offset, **style)


def _draw_front(axes: Axes, points: list[Choice]) -> None:
    """Join the trials that no other beats in both latency and accuracy."""
    pairs = sorted(
        (choice.latency_seconds.p50 * MILLI, -choice.accuracy.value)
        for choice in points
        if choice.latency_seconds and choice.accuracy and choice.status != "void"
    )
    front: list[tuple[float, float]] = []
    for x, negative in pairs:
        if not front or -negative > front[-1][1]:
            front.append((x, -negative))
    if len(front) > 1:
        axes.step(
            *zip(*front, strict=True), where="post", color=COLOUR["muted"], linewidth=1, linestyle=(0, (2, 2))
        )


def _draw_limits(axes: Axes, points: list[Choice], require: Require) -> None:
    style: dict[str, Any] = {"color": COLOUR["bad"], "linewidth": 1.1, "linestyle": (0, (4, 3))}
    low, high = axes.get_xlim()
    limit = require.latency_p50
    if limit is not None and low < limit * MILLI < high:
        axes.axvline(limit * MILLI, **style)
    floors = [require.accuracy] if require.accuracy is not None else []
    reference = next((one.accuracy.value for one in points if one.precision == "fp32" and one.accuracy), None)
    if require.accuracy_drop is not None and reference is not None:
        floors.append(reference - require.accuracy_drop)
    bottom, top = axes.get_ylim()
    for floor in floors:
        if bottom < floor < top:
            axes.axhline(floor, **style)


def _legend(axes: Axes, points: list[Choice]) -> None:
    present = [name for name in ("fp32", "fp16", "int8") if any(one.precision == name for one in points)]
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=MARKER[name],
            color=colour_of(name),
            label=name.upper(),
            markersize=6,
        )
        for name in present
    ]
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL,
        labelcolor=COLOUR["ink"],
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def _words(choice: Choice) -> str:
    latency, accuracy = choice.latency_seconds, choice.accuracy
    if latency is None or accuracy is None:
        return choice.label
    return f"{choice.label}: {format_seconds(latency.p50)}, {accuracy.metric} {format_ratio(accuracy.value)}"
