"""Small multiples of burst medians over time: whether the board drifted while it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.plots.canvas import COLOUR, Drawing, colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from numpy.typing import NDArray

    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.result import Samples

WIDTH, HEIGHT = 190.0, 100.0
MAX_POINTS = 120
LEAST_RANGE, MOST_RANGE = 0.05, 1.5


class Drift(NamedTuple):
    """One trial's panel."""

    label: str
    svg: Markup


class _Series(NamedTuple):
    choice: Choice
    seconds: NDArray[np.float64]
    deviations: NDArray[np.float64]
    valid: NDArray[np.bool_]


def draw_drifts(choices: Sequence[tuple[Choice, Samples | None]], key: str) -> tuple[list[Drift], bool]:
    """Draw a panel for each trial, all on one scale; also tell whether any burst is invalid."""
    series = [one for choice, samples in choices if (one := _series(choice, samples)) is not None]
    if not series:
        return [], False
    start = min(float(one.seconds.min()) for one in series)
    end = max(float(one.seconds.max()) for one in series)
    spread = max(float(np.percentile(np.abs(one.deviations), 98)) for one in series)
    reach = min(max(spread * 1.15, LEAST_RANGE), MOST_RANGE)
    panels = [
        Drift(one.choice.label, _draw(one, (start, end), reach, f"{key}-{index}"))
        for index, one in enumerate(series)
    ]
    return panels, any(not one.valid.all() for one in series)


def _series(choice: Choice, samples: Samples | None) -> _Series | None:
    latency = choice.latency_seconds
    if samples is None or latency is None:
        return None
    bursts = [burst for burst in samples.bursts if burst.latency_seconds]
    if not bursts:
        return None
    medians = [
        float(np.median(burst.latency_seconds[burst.after_switch :] or burst.latency_seconds))
        for burst in bursts
    ]
    return _Series(
        choice,
        np.array([burst.started_monotonic_seconds for burst in bursts]),
        np.array(medians) / latency.p50 - 1,
        np.array([burst.valid for burst in bursts]),
    )


def _draw(one: _Series, span: tuple[float, float], reach: float, key: str) -> Markup:
    start, end = span
    drawing = Drawing(HEIGHT, width=WIDTH, left=38, right=12, top=8, bottom=22)
    axes = drawing.axes
    axes.grid(visible=False)
    axes.axhline(0, color=COLOUR["grid"], linewidth=0.8)
    seconds, deviations = _thin(one.seconds - start, np.clip(one.deviations, -reach, reach))
    axes.plot(seconds, deviations * 100, color=colour_of(one.choice.precision), linewidth=1.0, alpha=0.9)
    bad = ~one.valid
    if bad.any():
        clipped = np.clip(one.deviations[bad], -reach, reach) * 100
        axes.plot((one.seconds - start)[bad], clipped, "x", color=COLOUR["bad"], markersize=5, mew=1.4)
    axes.set_xlim(0, max(end - start, 1e-3))
    axes.set_ylim(-reach * 108, reach * 108)
    step = _nice(reach)
    axes.set_yticks([-step * 100, 0, step * 100])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %" if value else "0")
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} s")
    axes.tick_params(labelsize=9.5)
    widest = float(np.max(np.abs(one.deviations))) * 100
    title = say("{label}: seconds into the run", label=one.choice.label)
    return drawing.svg(key, title, say("±{share} % at most", share=f"{widest:.1f}"))


def _nice(reach: float) -> float:
    return max(step for step in (0.02, 0.04, 0.05, 0.1, 0.2, 0.4, 0.5, 1.0) if step <= reach)


def _thin(
    seconds: NDArray[np.float64], deviations: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep at most MAX_POINTS: of each stretch its lowest and its highest point, so that no spike is lost."""
    if len(seconds) <= MAX_POINTS:
        return seconds, deviations
    kept: list[int] = []
    for part in np.array_split(np.arange(len(seconds)), MAX_POINTS // 2):
        low, high = part[np.argmin(deviations[part])], part[np.argmax(deviations[part])]
        kept += sorted({int(low), int(high)})
    return seconds[kept], deviations[kept]
