"""Quantiles of Student's distribution without numpy, for the service too."""

from __future__ import annotations

import math
from statistics import NormalDist


def student_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's distribution for probability > 0.5 (Hill 1970, Algorithm 396)."""
    if degrees <= 1.0:
        return math.tan(math.pi * (probability - 0.5))
    tail = 2 * (1 - probability)
    if degrees <= 2.0:  # noqa: PLR2004 - closed form
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * tail) ** (2 / degrees)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x**2
        if degrees < 5:  # noqa: PLR2004 - from the algorithm
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        low = (degrees + 6) / (degrees * y) - 0.089 * d - 0.822
        y = ((1 / (low * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y - 1) * (degrees + 1) / (
            degrees + 2
        ) + 1 / y
    return math.sqrt(degrees * y)
