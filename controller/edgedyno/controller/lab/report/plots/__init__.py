"""The report's figures as inline SVG; None where there is nothing to draw."""

from edgedyno.controller.lab.report.plots.drifts import Drift, draw_drifts
from edgedyno.controller.lab.report.plots.histories import Histories, draw_histories
from edgedyno.controller.lab.report.plots.intervals import Row, draw_intervals
from edgedyno.controller.lab.report.plots.medians import draw_medians
from edgedyno.controller.lab.report.plots.ratios import draw_ratios, draw_runtimes
from edgedyno.controller.lab.report.plots.spreads import draw_spreads
from edgedyno.controller.lab.report.plots.tradeoffs import Quantity, draw_tradeoff, front_of

__all__ = [
    "Drift",
    "Histories",
    "Quantity",
    "Row",
    "draw_drifts",
    "draw_histories",
    "draw_intervals",
    "draw_medians",
    "draw_ratios",
    "draw_runtimes",
    "draw_spreads",
    "draw_tradeoff",
    "front_of",
]
