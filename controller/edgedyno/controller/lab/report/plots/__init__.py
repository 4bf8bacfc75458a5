"""The report's figures as inline SVG; None where there is nothing to draw."""

from edgedyno.controller.lab.report.plots.accuracies import draw_accuracies
from edgedyno.controller.lab.report.plots.drifts import Drift, draw_drifts
from edgedyno.controller.lab.report.plots.medians import draw_medians
from edgedyno.controller.lab.report.plots.ratios import draw_ratios
from edgedyno.controller.lab.report.plots.spreads import draw_spreads

__all__ = ["Drift", "draw_accuracies", "draw_drifts", "draw_medians", "draw_ratios", "draw_spreads"]
