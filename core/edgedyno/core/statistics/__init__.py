"""Statistics of latency series: intervals that hold under autocorrelation, paired ratios, warm-up, summaries.

Needs numpy, so the daemon never imports it.
"""

from edgedyno.core.statistics.dependence import MeanError, mean_error, student_quantile
from edgedyno.core.statistics.looks import alpha_of_look
from edgedyno.core.statistics.median import MIN_GROUPS, Interval, median_interval
from edgedyno.core.statistics.ratio import MIN_BLOCKS, Ratio, paired_ratio
from edgedyno.core.statistics.summary import TAIL_MIN_SAMPLES, steady_groups, summarize
from edgedyno.core.statistics.switching import after_switch_cost
from edgedyno.core.statistics.warmup import is_warm

__all__ = [
    "MIN_BLOCKS",
    "MIN_GROUPS",
    "TAIL_MIN_SAMPLES",
    "Interval",
    "MeanError",
    "Ratio",
    "after_switch_cost",
    "alpha_of_look",
    "is_warm",
    "mean_error",
    "median_interval",
    "paired_ratio",
    "steady_groups",
    "student_quantile",
    "summarize",
]
