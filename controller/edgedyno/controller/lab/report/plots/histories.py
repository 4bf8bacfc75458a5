"""Temperatures and clocks of a board over the run, with the moments at which it throttled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, SMALL, Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from edgedyno.core.result import BoardSeries

HEIGHT = 190.0
MAX_LINES = 4
GIGA = 1e9
# Looks come twice a second; a longer pause is a load or a wait, and no line leads over it.
GAP_SECONDS = 5.0
STYLES: tuple[tuple[str, Any], ...] = (
    ("ink", "-"),
    ("fp32", "-"),
    ("int8", (0, (5, 2))),
    ("fp16", (0, (1, 1))),
)


class History(NamedTuple):
    """One quantity over time."""

    drawing: Markup
    left_out: int
    """Zones or clocks that are not drawn."""


class _Line(NamedTuple):
    name: str
    points: list[tuple[float, float]]

    @property
    def highest(self) -> float:
        return max(value for _, value in self.points)

    @property
    def span(self) -> float:
        return self.highest - min(value for _, value in self.points)


class Histories(NamedTuple):
    """What a board told over time; None of what it did not tell."""

    temperature: History | None
    clock: History | None
    throttled_moments: int


def draw_histories(series: Sequence[BoardSeries], key: str) -> Histories:
    """Draw all trials of a board on one axis of time: interleaved trials saw the same moments."""
    throttled = sorted(
        {
            at
            for one in series
            if one.throttled
            for at, flags in zip(one.monotonic_seconds, one.throttled, strict=True)
            if flags
        }
    )
    start = min((one.monotonic_seconds[0] for one in series if one.monotonic_seconds), default=0.0)
    celsius = _lines((one.monotonic_seconds, one.temperature_celsius) for one in series)
    hertz = _lines((one.monotonic_seconds, one.frequency_hz) for one in series)
    celsius.sort(key=lambda line: -line.highest)
    hertz.sort(key=lambda line: (-line.span, line.name))
    return Histories(
        _history(celsius, throttled, start, f"{key}-temperature", lambda value: f"{value:g} °C"),
        _history(hertz, throttled, start, f"{key}-clock", lambda value: f"{value / GIGA:g} GHz"),
        len(throttled),
    )


def _lines(told: Iterable[tuple[list[float], dict[str, list[float | None]]]]) -> list[_Line]:
    points: dict[str, dict[float, float]] = {}
    for moments, by_name in told:
        for name, values in by_name.items():
            known = {at: value for at, value in zip(moments, values, strict=True) if value is not None}
            points.setdefault(name, {}).update(known)
    return [_Line(name, sorted(found.items())) for name, found in points.items() if found]


def _history(
    lines: list[_Line], throttled: Sequence[float], start: float, key: str, write: Callable[[float], str]
) -> History | None:
    if not lines:
        return None
    drawing = Drawing(HEIGHT, left=58, right=12, top=24, bottom=26)
    axes = drawing.axes
    for line, (colour, style) in zip(lines, STYLES, strict=False):
        seconds, values = _broken(line, start)
        axes.plot(seconds, values, color=COLOUR[colour], linestyle=style, linewidth=1.3)
    _mark(axes, [at - start for at in throttled])
    axes.margins(x=0.01, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: write(float(f"{value:.4g}")))
    axes.grid(axis="y", color=COLOUR["grid"], linewidth=0.8)
    shown = lines[:MAX_LINES]
    _legend(axes, shown, throttled=bool(throttled))
    words = say("; ").join(
        say(
            "{label}: {text}",
            label=line.name,
            text=f"{write(line.points[0][1])} → {write(line.points[-1][1])}",
        )
        for line in shown
    )
    return History(drawing.svg(key, say("Over the time of the run"), words), len(lines) - len(shown))


def _broken(line: _Line, start: float) -> tuple[list[float], list[float]]:
    """Return a line's points, broken where nobody looked."""
    seconds: list[float] = []
    values: list[float] = []
    for at, value in line.points:
        if seconds and at - start - seconds[-1] > GAP_SECONDS:
            seconds.append(at - start)
            values.append(math.nan)
        seconds.append(at - start)
        values.append(value)
    return seconds, values


def _mark(axes: Axes, seconds: Sequence[float]) -> None:
    if seconds:
        axes.vlines(
            np.array(seconds),
            0,
            0.07,
            transform=axes.get_xaxis_transform(),
            color=COLOUR["bad"],
            linewidth=2.0,
        )


def _legend(axes: Axes, lines: Sequence[_Line], *, throttled: bool) -> None:
    handles = [
        Line2D([], [], color=COLOUR[colour], linestyle=style, label=line.name, linewidth=1.6)
        for line, (colour, style) in zip(lines, STYLES, strict=False)
    ]
    if throttled:
        handles.append(Line2D([], [], color=COLOUR["bad"], linewidth=3, label=say("throttled")))
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=SMALL - 1,
        labelcolor=COLOUR["ink"],
        handlelength=1.6,
        columnspacing=1.0,
        borderaxespad=0.2,
    )
