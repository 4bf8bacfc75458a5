"""Latency against another quantity, with both intervals, the limits and the front that nothing beats in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, MARKER, SMALL, Drawing, colour_of
from edgedyno.controller.lab.verdict.quantities import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.result import Bounded

HEIGHT = 330.0
MILLI = 1e3
# Labels of precisions that often coincide go different ways.
LABEL_OFFSET = {"fp32": (7, 6), "fp16": (7, -11), "int8": (7, 6)}
MOST_LABELS = 24


@dataclass(frozen=True)
class Quantity:
    """What stands on the upright axis."""

    title: str
    axis: str
    up: bool
    """Whether more is better."""
    write: Callable[[float], str]
    limits: Sequence[float] = ()


def draw_tradeoff(
    points: Sequence[tuple[Choice, Bounded]], quantity: Quantity, limit_seconds: float | None, key: str
) -> Markup | None:
    """Draw each trial by latency and another quantity; None where no trial has both."""
    points = [(choice, value) for choice, value in points if choice.latency_seconds]
    if not points:
        return None
    drawing = Drawing(HEIGHT, left=46, bottom=42, top=34)
    axes = drawing.axes
    axes.grid(axis="y", color=COLOUR["grid"], linewidth=0.8)
    for choice, value in points:
        _draw_point(axes, choice, value, label=len(points) <= MOST_LABELS)
    _draw_front(axes, points, up=quantity.up)
    axes.margins(0.12, 0.14)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.set_xlim(left=max(0.0, axes.get_xlim()[0]))
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_formatter(lambda value, _: quantity.write(value))
    _draw_limits(axes, quantity.limits, limit_seconds)
    axes.set_xlabel(say("Median latency, milliseconds"), fontsize=SMALL)
    axes.set_title(quantity.axis, fontsize=SMALL, color=COLOUR["muted"], loc="left", pad=8, x=-0.1)
    _legend(axes, [choice for choice, _ in points])
    words = say("; ").join(_words(choice, value, quantity) for choice, value in points)
    return drawing.svg(key, quantity.title, words)


def front_of(points: Sequence[tuple[Choice, Bounded]], *, up: bool) -> list[tuple[float, float]]:
    """Return milliseconds and value of the trials that no other beats in both, void ones left out."""
    sign = 1.0 if up else -1.0
    pairs = sorted(
        (choice.latency_seconds.p50 * MILLI, -sign * value.value)
        for choice, value in points
        if choice.latency_seconds and choice.status != "void"
    )
    front: list[tuple[float, float]] = []
    for x, negative in pairs:
        if not front or -negative > sign * front[-1][1]:
            front.append((x, -sign * negative))
    return front


def _draw_point(axes: Axes, choice: Choice, value: Bounded, *, label: bool) -> None:
    latency = choice.latency_seconds
    if latency is None:
        return
    x, y, colour = latency.p50 * MILLI, value.value, colour_of(choice.precision)
    if value.low is not None and value.high is not None:
        axes.vlines(x, value.low, value.high, color=colour, linewidth=1.2, alpha=0.55)
    if latency.p50_low is not None and latency.p50_high is not None:
        axes.hlines(y, latency.p50_low * MILLI, latency.p50_high * MILLI, color=colour, linewidth=1.2)
    counts = choice.status in {"recommended", "acceptable"}
    face = colour if counts else COLOUR["surface"]
    marker = MARKER.get(choice.precision, "o")
    axes.plot(x, y, marker, markersize=7, color=colour, markerfacecolor=face, markeredgecolor=colour)
    if choice.status == "recommended":
        axes.plot(x, y, "o", markersize=15, markerfacecolor="none", markeredgecolor=COLOUR["good"], mew=1.8)
    if not label:
        return
    offset = LABEL_OFFSET.get(choice.precision, (7, 6))
    if choice.status == "recommended":
        offset = (offset[0] + 4, offset[1] + 4)
    style: dict[str, Any] = {"fontsize": SMALL - 0.5, "color": colour, "textcoords": "offset points"}
    axes.annotate(f"{choice.threads}", (x, y), xytext=offset, **style)


def _draw_front(axes: Axes, points: Sequence[tuple[Choice, Bounded]], *, up: bool) -> None:
    front = front_of(points, up=up)
    if len(front) > 1:
        style: dict[str, Any] = {"color": COLOUR["ink"], "linewidth": 1.1, "alpha": 0.7}
        axes.step(*zip(*front, strict=True), where="post", linestyle=(0, (2, 2)), **style)
    for x, y in front:
        axes.plot(x, y, ".", color=COLOUR["ink"], markersize=3.5, zorder=5)


def _draw_limits(axes: Axes, limits: Sequence[float], limit_seconds: float | None) -> None:
    style: dict[str, Any] = {"color": COLOUR["bad"], "linewidth": 1.1, "linestyle": (0, (4, 3))}
    low, high = axes.get_xlim()
    if limit_seconds is not None and low < limit_seconds * MILLI < high:
        axes.axvline(limit_seconds * MILLI, **style)
    bottom, top = axes.get_ylim()
    for limit in limits:
        if bottom < limit < top:
            axes.axhline(limit, **style)


def _legend(axes: Axes, choices: list[Choice]) -> None:
    present = [name for name in ("fp32", "fp16", "int8") if any(one.precision == name for one in choices)]
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


def _words(choice: Choice, value: Bounded, quantity: Quantity) -> str:
    latency = choice.latency_seconds
    speed = format_seconds(latency.p50) if latency else ""
    return say(
        "{label}: {latency}, {quantity} {value}",
        label=choice.label,
        latency=speed,
        quantity=quantity.axis,
        value=quantity.write(value.value),
    )
