"""Where tensors are clipped, for distributions whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.controller.lab.variants.tools.ncnn_ranges import METHODS, clip_at, quantized
from edgedyno.controller.lab.variants.tools.ncnn_statistics import Statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = np.random.default_rng(7)


def statistics(*tensors: NDArray[np.float64]) -> Statistics:
    found = Statistics()
    values = [tensor.astype(np.float32).reshape(1, -1) for tensor in tensors]
    for each in values:
        found.measure(each)
    for each in values:
        found.count(each)
    return found


def test_minmax_is_the_largest_magnitude_of_all_tensors() -> None:
    assert clip_at(statistics(np.array([1.0, -3.0]), np.array([2.0])), "minmax") == 3.0


def test_aciq_of_a_laplacian_is_that_of_the_paper() -> None:
    found = clip_at(statistics(SEED.laplace(scale=0.5, size=200_000)), "aciq")
    assert found == pytest.approx(9.897 * 0.5, rel=0.02)


def test_aciq_of_a_gaussian_is_that_of_the_paper() -> None:
    found = clip_at(statistics(SEED.normal(scale=2.0, size=200_000)), "aciq")
    assert found == pytest.approx(3.924 * 2.0, rel=0.02)


def test_mse_agrees_with_aciq_where_the_distribution_is_as_aciq_thinks() -> None:
    values = statistics(SEED.laplace(size=2_000_000))
    assert clip_at(values, "mse") == pytest.approx(clip_at(values, "aciq"), rel=0.1)


@pytest.mark.parametrize("method", ["kl", "mse", "minmax"])
def test_a_uniform_distribution_is_not_clipped(method: str) -> None:
    assert clip_at(statistics(SEED.uniform(-1, 1, 100_000)), method) > 0.97


@pytest.mark.parametrize("method", ["kl", "aciq"])
def test_one_outlier_does_not_decide(method: str) -> None:
    values = np.append(SEED.normal(size=200_000), 60.0)
    assert clip_at(statistics(values), method) < 12


@pytest.mark.parametrize("method", sorted(METHODS))
def test_zeros_change_nothing(method: str) -> None:
    values = SEED.laplace(size=50_000)
    with_zeros = np.concatenate([values, np.zeros(500_000)])
    assert clip_at(statistics(with_zeros), method) == pytest.approx(
        clip_at(statistics(values), method), rel=1e-6
    )


@pytest.mark.parametrize("method", sorted(METHODS))
def test_nothing_but_zeros_has_no_range(method: str) -> None:
    assert clip_at(statistics(np.zeros(10)), method) == 0.0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_divided_channels_have_the_range_of_the_quotients(method: str) -> None:
    rows = SEED.laplace(size=(3, 40, 50)).astype(np.float32)
    divisors = np.array([0.1, 1.0, 50.0], np.float32)
    plain, scaled = Statistics(), Statistics()
    plain.measure(rows)
    plain.count(rows)
    scaled.measure(rows * divisors[:, None, None])
    view = scaled.divided(divisors)
    view.count(rows * divisors[:, None, None])
    assert clip_at(view, method) == pytest.approx(clip_at(plain, method), rel=1e-3)
    assert view.channel_means() == pytest.approx(plain.channel_means(), rel=1e-4)
    assert clip_at(scaled, "minmax") > 10 * clip_at(view, "minmax")


def test_not_a_number_is_noticed() -> None:
    found = Statistics()
    found.measure(np.array([[1.0, np.nan]], np.float32))
    assert not found.finite


def test_halves_round_away_from_zero_and_ends_are_symmetric() -> None:
    assert quantized(np.array([0.5, -0.5, 1.49, 200.0, -200.0]), np.array(1.0)).tolist() == [
        1,
        -1,
        1,
        127,
        -127,
    ]
