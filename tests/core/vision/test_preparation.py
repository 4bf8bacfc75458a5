"""Images to input tensors: geometry, colour, normalisation, layout."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.core.profile import InputSpec
from edgedyno.core.vision import prepare
from tests.core.vision.images import encode, gradient

Resize = Literal["letterbox-topleft", "letterbox-center", "stretch", "resize-crop"]
RESIZES: tuple[Resize, ...] = ("letterbox-topleft", "letterbox-center", "stretch", "resize-crop")


def _spec(resize: Resize, size: tuple[int, int] = (64, 64)) -> InputSpec:
    return InputSpec(
        size=size, resize=resize, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), layout="NHWC", colour="BGR"
    )


def test_letterbox_topleft_keeps_the_aspect_and_pads_right_or_below() -> None:
    prepared = prepare(encode(gradient(128, 64)), _spec("letterbox-topleft"))
    assert prepared.tensor.shape == (1, 64, 64, 3)
    assert (prepared.tensor[0, 32:] == 114).all()
    assert np.array_equal(prepared.tensor[0, :32], cv2.resize(gradient(128, 64), (64, 32)))
    assert (prepared.geometry.offset_x, prepared.geometry.offset_y) == (0, 0)


def test_letterbox_center_pads_on_both_sides() -> None:
    prepared = prepare(encode(gradient(128, 64)), _spec("letterbox-center"))
    assert (prepared.tensor[0, :16] == 114).all()
    assert (prepared.tensor[0, 48:] == 114).all()
    assert np.array_equal(prepared.tensor[0, 16:48], cv2.resize(gradient(128, 64), (64, 32)))


def test_stretch_fills_the_input() -> None:
    prepared = prepare(encode(gradient(128, 32)), _spec("stretch"))
    assert np.array_equal(prepared.tensor[0], cv2.resize(gradient(128, 32), (64, 64)))
    assert (prepared.geometry.scale_x, prepared.geometry.scale_y) == (0.5, 2.0)


def test_resize_crop_takes_the_centre() -> None:
    pixels = gradient(128, 64)
    prepared = prepare(encode(pixels), _spec("resize-crop"))
    assert np.array_equal(prepared.tensor[0], pixels[:, 32:96])


def test_colour_normalisation_and_layout_are_applied() -> None:
    pixels = np.full((8, 8, 3), (10, 20, 30), np.uint8)
    spec = InputSpec(size=(8, 8), colour="RGB", resize="stretch", mean=(1, 2, 3), std=(2, 4, 5))
    tensor = prepare(encode(pixels), spec).tensor
    assert tensor.shape == (1, 3, 8, 8)
    assert tensor.dtype == np.float32
    assert tensor.flags["C_CONTIGUOUS"]
    assert tensor[0, :, 0, 0].tolist() == [(30 - 1) / 2, (20 - 2) / 4, np.float32((10 - 3) / 5)]


@pytest.mark.parametrize("resize", RESIZES)
@given(width=st.integers(2, 300), height=st.integers(2, 300))
def test_the_way_back_is_the_inverse_of_the_way_in(resize: Resize, width: int, height: int) -> None:
    prepared = prepare(encode(np.zeros((height, width, 3), np.uint8), ".bmp"), _spec(resize, (48, 80)))
    geometry = prepared.geometry
    assert prepared.tensor.shape == (1, 48, 80, 3)
    original = np.array([[0, 0, width, height], [width / 3, height / 4, width / 2, height]], np.float32)
    scale = np.array([geometry.scale_x, geometry.scale_y] * 2)
    offset = np.array([geometry.offset_x, geometry.offset_y] * 2)
    there = (original * scale + offset).astype(np.float32)
    assert np.allclose(geometry.to_original(there), original, atol=1e-2)


def test_a_bright_spot_is_found_where_it_was() -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[120:140, 60:80] = 255
    for resize in RESIZES[:3]:
        prepared = prepare(encode(pixels), _spec(resize, (150, 150)))
        bright = prepared.tensor[0, :, :, 0] > 200
        rows, columns = np.nonzero(bright)
        corners = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        assert np.allclose(prepared.geometry.to_original(corners), [[60, 120, 80, 140]], atol=3)
