"""Image files to pixels: every odd kind, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision.headers import stated_size
from edgedyno.core.vision.image import MAX_PIXELS, read_pixels
from tests.core.vision.images import encode, gradient, palette_png, png_that_claims, with_orientation


def _code(data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read_pixels(data)
    return caught.value.code


def test_pixels_come_back_in_bgr() -> None:
    pixels = gradient(40, 30)
    assert np.array_equal(read_pixels(encode(pixels)), pixels)


def test_grey_becomes_three_equal_channels() -> None:
    grey = gradient(40, 30)[:, :, 0]
    pixels = read_pixels(encode(grey))
    assert pixels.shape == (30, 40, 3)
    assert np.array_equal(pixels, np.repeat(grey[:, :, None], 3, axis=2))


def test_sixteen_bits_become_eight() -> None:
    deep = gradient(40, 30).astype(np.uint16) * 257
    pixels = read_pixels(encode(deep))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - gradient(40, 30)).max() <= 1


def test_transparency_is_dropped() -> None:
    pixels = gradient(40, 30)
    with_alpha = np.dstack([pixels, np.zeros((30, 40), np.uint8)])
    assert np.array_equal(read_pixels(encode(with_alpha)), pixels)


def test_cmyk_jpeg_decodes() -> None:
    # The smallest way to a CMYK JPEG: four components, DC only, made by hand below.
    pixels = read_pixels(_cmyk_jpeg())
    assert pixels.shape == (8, 8, 3)


def _cmyk_jpeg() -> bytes:
    table = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    frame = b"\xff\xc0\x00\x14\x08\x00\x08\x00\x08\x04" + components
    # One code of length 1 (bit 0) in each Huffman table: DC difference 0, and end of block.
    huffman = b"".join(
        b"\xff\xc4\x00\x14" + bytes([kind]) + b"\x01" + b"\x00" * 15 + b"\x00" for kind in (0x00, 0x10)
    )
    selectors = b"".join(bytes([number, 0x00]) for number in range(1, 5))
    scan = b"\xff\xda\x00\x0e\x04" + selectors + b"\x00\x3f\x00"
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    return b"\xff\xd8" + adobe + table + frame + huffman + scan + b"\x00" + b"\xff\xd9"


def test_exif_orientation_is_applied() -> None:
    turned = read_pixels(with_orientation(encode(gradient(40, 30), ".jpg"), 6))
    assert turned.shape == (40, 30, 3)


@pytest.mark.parametrize("size", [(40, 30), (641, 17)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff"])
def test_the_stated_size_is_read(size: tuple[int, int], suffix: str) -> None:
    assert stated_size(encode(gradient(*size), suffix)) == size


def test_the_stated_size_of_a_jpeg_with_exif_is_read() -> None:
    assert stated_size(with_orientation(encode(gradient(40, 30), ".jpg"), 1)) == (40, 30)


def test_an_empty_file_is_refused() -> None:
    assert _code(b"") == "image.undecodable"


def test_what_is_no_image_is_refused() -> None:
    assert _code(b"this is no image at all") == "image.undecodable"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_file_is_refused_and_never_half_grey(suffix: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    whole = encode(noise, suffix)
    assert _code(whole[: int(len(whole) * share)]) in {"image.truncated", "image.undecodable"}


def test_bytes_after_the_end_do_no_harm() -> None:
    pixels = gradient(40, 30)
    assert np.array_equal(read_pixels(encode(pixels) + b"\0" * 100), pixels)
    assert read_pixels(encode(pixels, ".jpg") + b"\0" * 100).shape == (30, 40, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_a_tiny_image_is_refused(size: tuple[int, int]) -> None:
    assert _code(encode(gradient(*size))) == "image.too-small"


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    assert _code(png_that_claims(60_000, 60_000)) == "image.too-large"


def test_a_picture_of_100_megapixels_is_refused_with_its_size_and_the_memory() -> None:
    data = encode(np.zeros((10_000, 10_000), np.uint8), ".jpg")
    with pytest.raises(
        ConfigError, match=rf"10000x10000 pixels, expected at most {MAX_PIXELS} .*192 MiB"
    ) as caught:
        read_pixels(data)
    assert caught.value.code == "image.too-large"


@pytest.mark.parametrize("quality", [40, 101])
def test_the_stated_size_of_webp_with_and_without_loss(quality: int) -> None:
    packed = cv2.imencode(".webp", gradient(123, 45), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
    assert stated_size(packed) == (123, 45)


def test_a_palette_becomes_colours() -> None:
    assert read_pixels(palette_png()).tolist() == [[[3, 2, 1], [30, 20, 10]], [[30, 20, 10], [3, 2, 1]]]


def test_a_broken_body_is_refused() -> None:
    assert _code(png_that_claims(64, 64)) in {"image.undecodable", "image.truncated"}
