"""Prepared tensors become what a model's input wants: its layout, its integers, its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.agent.runtimes.base import InferenceError, TensorSpec
from edgedyno.agent.worker.tensors import read_for

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = np.arange(3 * 4 * 5, dtype=np.float32).reshape(1, 3, 4, 5)


def read(folder: Path, array: np.ndarray, *shape: int | None, **quantized: float) -> np.ndarray:
    path = folder / "input.npy"
    np.save(path, array)
    spec = TensorSpec("x", "int8" if quantized else "float32", shape, **quantized)  # type: ignore[arg-type]
    return read_for(spec, str(path), 1)  # type: ignore[no-any-return]


def test_channels_go_last_where_the_model_wants_them_there(tmp_path: Path) -> None:
    assert np.array_equal(read(tmp_path, PICTURE, 1, 4, 5, 3), PICTURE.transpose(0, 2, 3, 1))


def test_channels_go_first_where_the_model_wants_them_there(tmp_path: Path) -> None:
    last = PICTURE.transpose(0, 2, 3, 1)
    assert np.array_equal(read(tmp_path, last, 1, 3, 4, 5), PICTURE)


def test_what_fits_stays_as_the_profile_says(tmp_path: Path) -> None:
    assert np.array_equal(read(tmp_path, PICTURE, 1, None, None, None), PICTURE)
    cube = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    assert np.array_equal(read(tmp_path, cube, 1, 3, 3, 3), cube)


def test_free_sizes_are_filled_when_turned(tmp_path: Path) -> None:
    assert read(tmp_path, PICTURE, None, None, None, 3).shape == (1, 4, 5, 3)


def test_a_turned_picture_is_quantized_too(tmp_path: Path) -> None:
    found = read(tmp_path, PICTURE, 1, 4, 5, 3, scale=0.5, zero_point=-10)
    assert found.dtype == np.int8
    assert np.array_equal(found, PICTURE.transpose(0, 2, 3, 1) * 2 - 10)
    assert found.flags["C_CONTIGUOUS"]


def test_what_fits_turned_either_way_is_refused(tmp_path: Path) -> None:
    array = np.zeros((1, 3, 5, 3), np.float32)
    with pytest.raises(InferenceError, match="either way") as raised:
        read(tmp_path, array, 1, None, 3, None)
    assert raised.value.code == "input.ambiguous"


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (1, 3, 4), (1, 60)])
def test_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InferenceError) as raised:
        read(tmp_path, PICTURE, *shape)
    assert raised.value.code == "input.shape"
