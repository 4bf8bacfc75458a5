"""Figures as inline SVG that one style sheet colours for light, dark and print.

Matplotlib knows no CSS variables, so every colour here is a sentinel that becomes `var(--name)` afterwards.
Text stays text. Sizes are those of a narrow screen; a wide one scales them up.
"""

from __future__ import annotations

import io
import itertools
import re
import threading
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 400
FONT_SIZE = 11.0
SMALL = 10.0

_NAMES = ("ink", "muted", "grid", "surface", "fp32", "fp16", "int8", "good", "bad", "band", "other")
COLOUR = {name: f"#01f1{index:02x}" for index, name in enumerate(_NAMES)}
_SENTINEL = re.compile("|".join(COLOUR.values()))
_VARIABLE = {colour: f"var(--{name})" for name, colour in COLOUR.items()}
MARKER = {"fp32": "o", "fp16": "s", "int8": "D"}
# rc settings and the SVG writer's are global to the process, and reports may be rendered in several threads.
_LOCK = threading.Lock()
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "path.simplify": True,
}


class Drawing:
    """A figure of `height` units, WIDTH wide, with one axes whose margins are given in units."""

    def __init__(
        self,
        height: float,
        *,
        width: float = WIDTH,
        left: float = 6,
        right: float = 10,
        top: float = 6,
        bottom: float = 34,
    ) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
        FigureCanvasSVG(self.figure)
        box = (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - top - bottom) / height,
        )
        self.axes: Axes = self.figure.add_axes(box)
        _dress(self.axes)

    def svg(self, key: str, title: str, description: str) -> Markup:
        """Return the SVG; `key` is unique in the page, title and description serve who cannot see it."""
        buffer = io.StringIO()
        settings: Any = {**_SETTINGS, "svg.hashsalt": key}
        with _LOCK, mpl.rc_context(settings), warnings.catch_warnings():
            # Text stays text: it is the reader's fonts that have its glyphs, not the one that lays it out.
            warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
            self.figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
        return _finish(buffer.getvalue(), key, title, description)


def colour_of(precision: str) -> str:
    """Return the sentinel colour of a precision."""
    return COLOUR.get(precision, COLOUR["other"])


def _dress(axes: Axes) -> None:
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(COLOUR["grid"])
    axes.tick_params(colors=COLOUR["muted"], labelsize=SMALL, length=3, width=0.8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=COLOUR["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(COLOUR["muted"])
    axes.yaxis.label.set_color(COLOUR["muted"])


def _finish(svg: str, key: str, title: str, description: str) -> Markup:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _own_ids(svg, key)
    svg = _SENTINEL.sub(lambda match: _VARIABLE[match[0]], svg)
    svg = re.sub(r"font-family: [^;\"]*;?|font: ([\d.]+px) [^;\"]*", _font, svg)
    view = re.search(r'viewBox="([^"]*)"', svg)
    opening = (
        f'<svg class="chart" role="img" viewBox="{view[1] if view else ""}" '
        f'aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    svg = opening + svg[svg.index(">") + 1 :]
    return Markup(re.sub(r">\s+<", "><", svg))  # noqa: S704 (the texts in it are escaped by matplotlib and above)


def _font(match: re.Match[str]) -> str:
    return f"font-size: {match[1]}" if match[1] else ""


def _own_ids(svg: str, key: str) -> str:
    """Drop ids that nothing points to, and make the others unique in the page."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    numbers = itertools.count()
    names = {name: f"{key}-{next(numbers)}" for name in sorted(used)}
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", svg)
    return re.sub(r'(href="#|url\(#)([^")]+)', lambda m: m[1] + names[m[2]], svg)
