"""Statistics of latency series: intervals that hold under autocorrelation, paired ratios, warm-up, summaries.

Needs numpy, so the daemon never imports it.
"""

from edgedyno.core.statistics.dependence import MeanError, mean_error
from edgedyno.core.statistics.groups import Groups, flatten
from edgedyno.core.statistics.loads import LOAD_SPREAD, load_half_width, loads_wanted
from edgedyno.core.statistics.looks import STOPPED_ALPHA, alpha_of_look
from edgedyno.core.statistics.median import MIN_GROUPS, Interval, median_interval
from edgedyno.core.statistics.ratio import MIN_BLOCKS, LogRatio, Ratio, log_ratio_of_medians, paired_ratio
from edgedyno.core.statistics.steadiness import Steadiness, steadiness_of, steadiness_reasons
from edgedyno.core.statistics.summary import TAIL_MIN_SAMPLES, steady_groups, summarize
from edgedyno.core.statistics.switching import after_switch_cost
from edgedyno.core.statistics.warmup import is_warm
from edgedyno.core.student import student_quantile

__all__ = [
    "LOAD_SPREAD",
    "MIN_BLOCKS",
    "MIN_GROUPS",
    "STOPPED_ALPHA",
    "TAIL_MIN_SAMPLES",
    "Groups",
    "Interval",
    "LogRatio",
    "MeanError",
    "Ratio",
    "Steadiness",
    "after_switch_cost",
    "alpha_of_look",
    "flatten",
    "is_warm",
    "load_half_width",
    "loads_wanted",
    "log_ratio_of_medians",
    "mean_error",
    "median_interval",
    "paired_ratio",
    "steadiness_of",
    "steadiness_reasons",
    "steady_groups",
    "student_quantile",
    "summarize",
]
