from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tensors(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / f"{index}.npy") for index in range(3)]
    for index, path in enumerate(paths):
        np.save(path, np.full((1, 4), index + 1.0, np.float32))
    return paths


@pytest.mark.parametrize(("factor", "decibels"), [(1.1, 20.0), (2.0, 0.0), (0.0, 0.0), (-1.0, -6.02)])
def test_decibels_of_all_images_together(tensors: list[str], factor: float, decibels: float) -> None:
    found = output_sqnr_db(lambda tensor: [tensor], lambda tensor: [tensor * factor], tensors)
    assert found == pytest.approx(decibels, abs=0.01)


def test_equal_outputs_and_silence_have_no_ratio(tensors: list[str]) -> None:
    assert output_sqnr_db(lambda tensor: [tensor], lambda tensor: [tensor], tensors) is None
    assert output_sqnr_db(lambda tensor: [tensor * 0], lambda tensor: [tensor], tensors) is None


def test_shapes_may_differ_by_a_batch(tensors: list[str]) -> None:
    assert output_sqnr_db(lambda tensor: [tensor], lambda tensor: [tensor[0] * 1.1], tensors) == 20.0


def test_images_are_taken_from_first_to_last() -> None:
    assert spread(list("abcdefgh")) == ["a", "c", "e", "g"]
    assert spread(list("ab")) == ["a", "b"]
    assert spread([]) == []
