"""What each look at growing data may spend of the error that the whole race may make."""

from __future__ import annotations


def alpha_of_look(total: float, *, previous: float, now: float, comparisons: int = 1) -> float:
    """Return the error that one comparison may make at this look.

    `previous` and `now` are the shares of the time budget gone at the last look and at this one. Spending
    is linear in time (Kim and DeMets 1987, rho = 1, after Lan and DeMets 1983), and looks and comparisons
    are added up by Bonferroni, so the sum over any number of looks never exceeds `total`, at any dependence
    between them.
    """
    spent = max(0.0, min(1.0, now) - max(0.0, previous))
    return max(1e-12, total * spent / max(1, comparisons))
