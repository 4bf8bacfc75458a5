"""An image becomes a model's input: resize, colour order, normalisation, layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from edgedyno.core.vision.geometry import Geometry, Prepared
from edgedyno.core.vision.image import read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedyno.core.profile import InputSpec

    Pixels = NDArray[np.uint8]
    Fit = Callable[[Pixels, int, int, InputSpec], tuple[Pixels, Geometry]]


class Fitted(NamedTuple):
    """An image in the size of a model's input: BGR, 8 bits, before anything is made of its values."""

    pixels: Pixels
    geometry: Geometry


def prepare(data: bytes, spec: InputSpec) -> Prepared:
    """Turn the bytes of an image file into the input tensor that `spec` describes.

    Raises ConfigError with a code beginning with `image.` for an image that cannot be used.
    """
    fitted = fit(read_pixels(data), spec)
    tensor = np.empty(tensor_shape(spec), np.float32)
    fill(tensor, fitted.pixels, spec)
    return Prepared(tensor, fitted.geometry)


def fit(pixels: Pixels, spec: InputSpec) -> Fitted:
    """Bring decoded pixels to the input's size in the way that `spec` asks for."""
    height, width = spec.size
    return Fitted(*_FITS[spec.resize](pixels, width, height, spec))


def tensor_shape(spec: InputSpec) -> tuple[int, ...]:
    """Return the shape of the input for one image, batch axis included."""
    return (1, 3, *spec.size) if spec.layout == "NCHW" else (1, *spec.size, 3)


def fill(tensor: NDArray[np.float32], pixels: Pixels, spec: InputSpec) -> None:
    """Write (pixel - mean) / std in the order of colours that `spec` has into `tensor`, of `tensor_shape`.

    There are 256 values a channel, so each is computed once and looked up: the same float32, several times as fast.
    """
    values = np.arange(256, dtype=np.float32)[:, None]
    tables = (values - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    for channel in range(3):
        plane = cv2.extractChannel(pixels, 2 - channel if spec.colour == "RGB" else channel)
        looked_up = cv2.LUT(plane, np.ascontiguousarray(tables[:, channel]))
        if spec.layout == "NCHW":
            tensor[0, channel] = looked_up
        else:
            tensor[0, :, :, channel] = looked_up


def _letterbox_topleft(pixels: Pixels, width: int, height: int, spec: InputSpec) -> tuple[Pixels, Geometry]:
    """Keep the aspect ratio, pad right and below (YOLOX's preproc)."""
    ratio = min(width / pixels.shape[1], height / pixels.shape[0])
    size = (max(1, int(pixels.shape[1] * ratio)), max(1, int(pixels.shape[0] * ratio)))
    return _place(pixels, (width, height), size, (0, 0), spec.pad, ratio)


def _letterbox_center(pixels: Pixels, width: int, height: int, spec: InputSpec) -> tuple[Pixels, Geometry]:
    """Keep the aspect ratio, pad all around (YOLOv5's letterbox, its rounding included)."""
    ratio = min(width / pixels.shape[1], height / pixels.shape[0])
    size = (max(1, round(pixels.shape[1] * ratio)), max(1, round(pixels.shape[0] * ratio)))
    left, top = (round((whole - part) / 2 - 0.1) for whole, part in zip((width, height), size, strict=True))
    return _place(pixels, (width, height), size, (left, top), spec.pad, ratio)


def _place(
    pixels: Pixels,
    whole: tuple[int, int],
    part: tuple[int, int],
    corner: tuple[int, int],
    pad: int,
    ratio: float,
) -> tuple[Pixels, Geometry]:
    canvas = np.full((whole[1], whole[0], 3), pad, np.uint8)
    left, top = corner
    canvas[top : top + part[1], left : left + part[0]] = _resize(pixels, part)
    height, width = pixels.shape[:2]
    return canvas, Geometry(width, height, *whole, ratio, ratio, left, top)


def _stretch(pixels: Pixels, width: int, height: int, _: InputSpec) -> tuple[Pixels, Geometry]:
    """Fill the input and give up the aspect ratio."""
    rows, columns = pixels.shape[:2]
    geometry = Geometry(columns, rows, width, height, width / columns, height / rows)
    return _resize(pixels, (width, height)), geometry


def _resize_crop(pixels: Pixels, width: int, height: int, spec: InputSpec) -> tuple[Pixels, Geometry]:
    """Take the largest centred part of the input's aspect ratio, or `crop` of it, and resize it."""
    rows, columns = pixels.shape[:2]
    ratio = max(width / columns, height / rows) / spec.crop
    part = (max(1, min(columns, round(width / ratio))), max(1, min(rows, round(height / ratio))))
    left, top = (columns - part[0]) // 2, (rows - part[1]) // 2
    cropped = pixels[top : top + part[1], left : left + part[0]]
    scale_x, scale_y = width / part[0], height / part[1]
    geometry = Geometry(columns, rows, width, height, scale_x, scale_y, -left * scale_x, -top * scale_y)
    return _resize(cropped, (width, height)), geometry


def _resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize bilinearly, as the models' own preparation does."""
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


_FITS: dict[str, Fit] = {
    "letterbox-topleft": _letterbox_topleft,
    "letterbox-center": _letterbox_center,
    "stretch": _stretch,
    "resize-crop": _resize_crop,
}
