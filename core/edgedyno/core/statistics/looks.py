"""What each look at growing data may spend of the error that the whole race may make.

Two decisions are made again and again. That one trial differs from another is decided once and for all, so its
looks share out one error (`alpha_of_look`). That an interval is narrow enough stops the measuring, and stops it
more often when the scatter happens to look small (Chow and Robbins 1965; Law and Carson 1979 count what that
costs). A stricter test alone does not mend that; what does, by simulation, is to look only once a series is
long enough to show how far it hangs together, and to give the interval at which it was stopped, which is one
at STOPPED_ALPHA: it covers in 95 % (benchmarks/coverage.py, "stopped").
"""

from __future__ import annotations

STOPPED_ALPHA = 0.03


def alpha_of_look(total: float, *, previous: float, now: float, comparisons: int = 1) -> float:
    """Return the error that one comparison may make at this look.

    `previous` and `now` are the shares of the time budget gone at the last look and at this one. Spending
    is linear in time (Kim and DeMets 1987, rho = 1, after Lan and DeMets 1983), and looks and comparisons
    are added up by Bonferroni, so the sum over any number of looks never exceeds `total`, at any dependence
    between them.
    """
    spent = max(0.0, min(1.0, now) - max(0.0, previous))
    return max(1e-12, total * spent / max(1, comparisons))
