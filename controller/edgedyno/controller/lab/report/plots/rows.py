"""Rows of a chart: the label and a value stand above each mark, so that long names need no margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedyno.controller.lab.report.plots.canvas import COLOUR, SMALL, Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_HEIGHT = 42.0
LABEL, MARK = -0.26, 0.14
"""Where label and mark stand within a row, in rows from its middle."""
TOP, BOTTOM = 4.0, 38.0


def draw_rows(labels: Sequence[tuple[str, str]], *, row_height: float = ROW_HEIGHT) -> Drawing:
    """Return a drawing with one row for each (label, value); row i's mark belongs at y = i, downwards."""
    drawing = Drawing(TOP + BOTTOM + row_height * len(labels), top=TOP, bottom=BOTTOM)
    axes = drawing.axes
    axes.set_ylim(len(labels) - 0.5 + 0.12, -0.5 - 0.12)
    axes.set_yticks([])
    across = axes.get_yaxis_transform()
    for row, (label, value) in enumerate(labels):
        style: dict[str, Any] = {
            "transform": across,
            "va": "center",
            "fontsize": SMALL + 0.5,
            "bbox": {"facecolor": COLOUR["surface"], "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        }
        axes.text(0.0, row + LABEL, label, ha="left", color=COLOUR["ink"], **style)
        axes.text(1.0, row + LABEL, value, ha="right", color=COLOUR["muted"], **style)
    return drawing
