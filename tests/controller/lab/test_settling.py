"""How many images would settle a requirement: as many as do, in simulation, as often as is said."""

from __future__ import annotations

import numpy as np
import pytest

from edgedyno.controller.lab.settling import POWER, images_needed


def test_that_many_images_settle_it_as_often_as_said() -> None:
    generator = np.random.default_rng(5)
    value, limit, spread, images = 0.012, 0.01, 0.1, 140
    error = spread / images**0.5
    needed = images_needed(value, value - 1.96 * error, value + 1.96 * error, limit, images)
    assert needed is not None
    error = spread / needed**0.5
    values = generator.normal(value, error, 4000)
    assert (values - 1.96 * error > limit).mean() == pytest.approx(POWER, abs=0.02)


def test_twice_as_near_needs_four_times_as_many() -> None:
    near = images_needed(0.011, 0.0, 0.022, 0.01, 100)
    far = images_needed(0.012, 0.001, 0.023, 0.01, 100)
    assert near is not None
    assert far is not None
    assert near == pytest.approx(4 * far)


def test_a_value_on_the_limit_is_never_settled() -> None:
    assert images_needed(0.01, 0.0, 0.02, 0.01, 100) is None
    assert images_needed(0.0101, 0.0, 0.02, 0.01, 100) is None


def test_both_sides_need_as_many() -> None:
    assert images_needed(0.008, 0.0, 0.016, 0.01, 17) == pytest.approx(
        images_needed(0.012, 0.004, 0.02, 0.01, 17)
    )
