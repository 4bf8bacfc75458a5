"""A predictions artifact: written image by image, cut off where a writer was killed, read whole or as a stream."""

from __future__ import annotations

import gzip
import hashlib
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edgedyno.core.predictions import (
    FORMAT,
    PredictionsHead,
    PredictionsWriter,
    read_predictions,
    stream_predictions,
)
from edgedyno.core.result import Detection, ImagePrediction, Predictions
from edgedyno.core.vision.decimals import shortest

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = [
    ImagePrediction(7, detections=[Detection(0.1, 2.5, 30.0, 4.0, 0.25, 3)]),
    ImagePrediction(8, error="image.truncated: image 8: found an image that ends too early"),
    ImagePrediction(9, classes=[(4, 0.5), (1, 0.25)]),
    ImagePrediction(10),
]
HEAD = PredictionsHead(FORMAT, "a" * 64, "onnxruntime", "b" * 64, len(IMAGES))
WHOLE = Predictions("a" * 64, "onnxruntime", "b" * 64, IMAGES)


def _written(folder: Path, images: list[ImagePrediction], *, kept_bytes: int = 0) -> bytes:
    with PredictionsWriter(folder / "part", kept_bytes=kept_bytes) as writer:
        for image in images:
            writer.add(image)
        return (folder / writer.finish(HEAD, folder)).read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    data = _written(tmp_path, IMAGES)
    assert read_predictions(data) == WHOLE
    assert (tmp_path / hashlib.sha256(data).hexdigest()).exists()
    assert not (tmp_path / "part").exists()


def test_a_stream_gives_the_head_and_one_image_after_the_other(tmp_path: Path) -> None:
    file = BytesIO(_written(tmp_path, IMAGES))
    head, images = stream_predictions(file)
    assert head == HEAD
    assert list(islice(images, 2)) == IMAGES[:2]
    assert list(images) == IMAGES[2:]


def test_any_gzip_tool_shows_lines(tmp_path: Path) -> None:
    lines = gzip.decompress(_written(tmp_path, IMAGES)).splitlines()
    assert len(lines) == 1 + len(IMAGES)
    assert lines[1] == b'{"image_id":7,"detections":[[0.1,2.5,30.0,4.0,0.25,3]]}'


def test_one_json_object_of_an_older_board_is_read() -> None:
    old = msgspec.json.encode(WHOLE)
    assert read_predictions(old) == WHOLE
    assert list(stream_predictions(BytesIO(old)).images) == IMAGES


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_killed_writer_leaves_nothing_behind_what_it_kept(tmp_path: Path, kept: int) -> None:
    """The bytes are those of a writer that was never killed, so the artifact has the same name."""
    whole = _written(tmp_path, IMAGES)
    writer = PredictionsWriter(tmp_path / "part")
    for image in IMAGES[:kept]:
        writer.add(image)
    kept_bytes = writer.sync()
    writer.add(ImagePrediction(99, detections=IMAGES[0].detections * 50))
    writer.close()
    with (tmp_path / "part").open("r+b") as file:
        file.truncate(kept_bytes + 20)
    assert _written(tmp_path, IMAGES[kept:], kept_bytes=kept_bytes) == whole


@pytest.mark.parametrize("cut", [1, 9, 40, 120])
def test_a_cut_artifact_is_damaged(tmp_path: Path, cut: int) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_predictions(_written(tmp_path, IMAGES)[:-cut])


def test_a_flipped_byte_is_damage(tmp_path: Path) -> None:
    data = bytearray(_written(tmp_path, IMAGES))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(msgspec.MsgspecError):
        read_predictions(bytes(data))


def test_another_format_is_named(tmp_path: Path) -> None:
    head = msgspec.structs.replace(HEAD, format="edgedyno-predictions-9")
    with PredictionsWriter(tmp_path / "part") as writer:
        data = (tmp_path / writer.finish(head, tmp_path)).read_bytes()
    with pytest.raises(msgspec.ValidationError, match="edgedyno-predictions-9"):
        read_predictions(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"no predictions", b"\x1f\x8bno gzip"])
def test_what_is_no_artifact_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        read_predictions(data)


def test_decimals_are_the_shortest_that_stand_for_the_float32() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate(
        [
            (random.random(5000) * 10.0 ** random.integers(-6, 5, 5000)).astype(np.float32),
            -random.random(100).astype(np.float32),
            np.array([0.0, 0.1, 1.0, 640.0, 1e-30, 3e38, np.inf, np.nan], np.float32),
        ]
    )
    found = shortest(values)
    assert np.array_equal(found.astype(np.float32), values, equal_nan=True)
    usual = np.abs(values) > 1e-6
    usual &= np.abs(values) < 1e6
    assert found[usual].tolist() == [float(str(value)) for value in values[usual]]
