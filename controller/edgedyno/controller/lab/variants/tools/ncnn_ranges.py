"""Where to clip a tensor that becomes signed 8-bit integers: from its statistics alone, in numpy.

Values x become round(127 x / t), clipped to ±127. The methods differ in t:

- minmax: t = max |x|; nothing is clipped.
- kl: the t whose 128 levels keep the distribution's information best: least Kullback-Leibler divergence between the
  clipped histogram and its quantized form (S. Migacz, "8-bit inference with TensorRT", GTC 2017, slides 30-41; ncnn's
  tools use it over 2048 bins of |x| without the zeros, as is done here).
- aciq: the t with the least expected squared error of clipping and rounding together, if x is Laplacian or Gaussian
  (R. Banner et al., "Post training 4-bit quantization of convolutional networks for rapid-deployment", NeurIPS 2019,
  arXiv 1810.05723): t = 9.897 b or t = 3.924 s for 8 bits. b (mean |x|) and
  s (root mean square) are those of the values other than zero.
- mse: the same error, but of the histogram itself instead of a distribution that is fitted to it.

Zeros are left out of histogram and moments: they are exact in every scale, and ReLU makes most values zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_statistics import BINS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_statistics import Statistics

LEVELS = 127
"""Largest of the signed integers: ncnn uses -127 to 127."""
_KL_LEVELS = 128
# Clips are tried a five-hundredth of the range apart.
_KL_STEP = 4
# A bin without a value must not make the divergence infinite; the size is ncnn's.
_KL_FLOOR = 1e-4
# t/b solves x exp(x) = 3 * 4**8; t/s is the Gaussian's. Both in Banner et al., for 8 bits.
_LAPLACE_CLIP = 9.89675982
_GAUSS_CLIP = 3.92403714
_MSE_STEPS = 100


def _minmax(statistics: Statistics) -> float:
    return statistics.largest


def _kl(statistics: Statistics) -> float:
    shares = statistics.histogram / max(int(statistics.histogram.sum()), 1)
    below = np.concatenate([[0.0], np.cumsum(shares)])
    tried = range(_KL_LEVELS, BINS, _KL_STEP)
    bins = tried[int(np.argmin([_divergence(shares, below, bins) for bins in tried]))]
    return (bins + 0.5) * statistics.largest / BINS


def _divergence(shares: NDArray[np.float64], below: NDArray[np.float64], bins: int) -> float:
    """Return how much is lost where the range ends after `bins`; `below` is the histogram's running sum."""
    clipped = shares[:bins] + _KL_FLOOR
    clipped[-1] += below[-1] - below[bins]
    edges = np.arange(bins + 1)
    levels = np.linspace(0.0, bins, _KL_LEVELS + 1)
    # Within a level all values are alike: its mass spread evenly makes the running sum straight there.
    quantized = np.diff(np.interp(edges, levels, np.interp(levels, edges, below[: bins + 1]))) + _KL_FLOOR
    return float(np.sum(clipped * np.log(clipped / quantized)))


def _aciq(statistics: Statistics) -> float:
    b, sigma = statistics.mean_magnitude(), statistics.root_mean_square()
    # Mean log-likelihoods of the two at their best fit; the likelier distribution decides.
    laplace = -1.0 - np.log(2 * b)
    gauss = -0.5 - 0.5 * np.log(2 * np.pi * sigma**2)
    clip = _LAPLACE_CLIP * b if laplace > gauss else _GAUSS_CLIP * sigma
    return float(min(clip, statistics.largest))


def _mse(statistics: Statistics) -> float:
    centres = (np.arange(BINS) + 0.5) * (statistics.largest / BINS)
    best: tuple[float, float] = (np.inf, statistics.largest)
    for step in range(_MSE_STEPS, 0, -1):
        limit = statistics.largest * step / _MSE_STEPS
        scale = LEVELS / limit
        rounded = np.minimum(np.rint(centres * scale), LEVELS) / scale
        # Within a bin values lie evenly: rounding costs no less than the twelfth of a squared step.
        error = np.where(centres > limit, (centres - rounded) ** 2, 1 / (12 * scale**2))
        best = min(best, (float(np.dot(statistics.histogram, error)), limit))
    return best[1]


METHODS: dict[str, Callable[[Statistics], float]] = {"minmax": _minmax, "kl": _kl, "aciq": _aciq, "mse": _mse}
NEEDS_HISTOGRAM = frozenset({"kl", "mse"})


def clip_at(statistics: Statistics, method: str) -> float:
    """Return the magnitude at which to clip; 0 where every value was zero."""
    return METHODS[method](statistics) if statistics.largest > 0 else 0.0


def quantized(values: NDArray[Any], scales: NDArray[Any], levels: int = LEVELS) -> NDArray[np.int8]:
    """Return the integers for values times scales, halves away from zero as ncnn rounds."""
    scaled = np.asarray(values, np.float64) * scales
    rounded = np.trunc(scaled + np.copysign(0.5, scaled))
    return np.asarray(np.clip(rounded, -levels, levels), np.int8)
