"""Small files that would become huge: refused by their size and by how they shrink, before anything is written."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.runtimes.base import InferenceError
from edgedyno.agent.runtimes.bundle import unpack
from edgedyno.controller.lab.inspection import inspect_file
from edgedyno.core.errors import ConfigError
from edgedyno.core.predictions import FORMAT, LONGEST_LINE_BYTES, stream_predictions
from edgedyno.core.vision.image import read_pixels
from tests.hostile.seeds import images, model_files

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("model.param", "model.bin")
SHA256 = "ab" * 32


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_that_is_mostly_zeros_is_refused_and_leaves_nothing(tmp_path: Path, method: int) -> None:
    bomb = zipped(tmp_path / "bomb", {"model.param": b"x", "model.bin": bytes(65 << 20)}, method)
    assert bomb.stat().st_size < 1 << 20
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(InferenceError, match="unpack to"):
        unpack(str(bomb), str(scratch), NAMES)
    assert list(scratch.iterdir()) == []


def test_a_small_bundle_may_shrink_as_it_likes(tmp_path: Path) -> None:
    good = zipped(tmp_path / "good", {"model.param": b"x", "model.bin": bytes(5 << 20)})
    assert len(unpack(str(good), str(tmp_path), NAMES)) == 2


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    whole = bytearray(
        zipped(tmp_path / "good", {"model.param": b"x", "model.bin": bytes(5 << 20)}).read_bytes()
    )
    at = whole.rfind(b"PK\1\2")
    whole[at + 24 : at + 28] = (10).to_bytes(4, "little")
    (tmp_path / "liar").write_bytes(whole)
    with pytest.raises(InferenceError):
        unpack(str(tmp_path / "liar"), str(tmp_path), NAMES)
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) < 1 << 20


@pytest.mark.parametrize("name", ["../model.bin", "/tmp/model.bin", "a/../../model.bin"])
def test_a_member_with_a_path_is_never_written(tmp_path: Path, name: str) -> None:
    evil = zipped(tmp_path / "evil", {"model.param": b"x", name: b"y"})
    scratch = tmp_path / "a" / "b"
    scratch.mkdir(parents=True)
    before = {one for one in tmp_path.rglob("*") if one.is_file()}
    with pytest.raises(InferenceError, match="lacks"):
        unpack(str(evil), str(scratch), NAMES)
    assert {one for one in tmp_path.rglob("*") if one.is_file()} == before


def test_a_bundle_with_a_hundred_thousand_members_is_refused_before_they_are_read(tmp_path: Path) -> None:
    many = zipped(tmp_path / "many", {f"{number}": b"" for number in range(30_000)}, zipfile.ZIP_STORED)
    with pytest.raises(InferenceError, match="directory of"):
        unpack(str(many), str(tmp_path), NAMES)


def test_predictions_with_one_endless_line_are_refused() -> None:
    bomb = gzip.compress(bytes(LONGEST_LINE_BYTES + (1 << 20)), 1)
    assert len(bomb) < 1 << 20
    with pytest.raises(msgspec.MsgspecError, match="line of over"):
        stream_predictions(io.BytesIO(bomb))


def test_predictions_with_lines_without_end_are_refused_after_those_that_were_promised() -> None:
    head = {
        "format": FORMAT,
        "variant_sha256": SHA256,
        "runtime": "x",
        "preparation_sha256": SHA256,
        "images": 2,
    }
    line = json.dumps({"image_id": 1}).encode() + b"\n"
    bomb = gzip.compress(json.dumps(head).encode() + b"\n" + line * 1_000_000, 1)
    found = 0

    def read() -> None:
        nonlocal found
        for _ in stream_predictions(io.BytesIO(bomb)).images:
            found += 1

    with pytest.raises(msgspec.MsgspecError, match="expected 2"):
        read()
    assert found == 2


def test_a_graph_of_a_gigabyte_of_text_is_not_read(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"model.param": b"7767517\n" + bytes(65 << 20), "model.bin": b"w"})
    with pytest.raises(ConfigError, match="at most"):
        inspect_file(bomb)


def test_a_picture_whose_chunk_says_two_gigabytes_is_refused_unread() -> None:
    png = next(data for data in images() if data.startswith(b"\x89PNG"))
    at = png.index(b"IDAT") - 4
    with pytest.raises(ConfigError, match="ends too early"):
        read_pixels(png[:at] + b"\x7f\xff\xff\xff" + png[at + 4 :])
    assert read_pixels(png).shape == (4, 4, 3)


def test_a_graph_with_a_size_that_is_no_number_has_an_unknown_size(tmp_path: Path) -> None:
    file = tmp_path / "net.xml"
    file.write_bytes(model_files()["net.xml"].replace(b"<dim>3</dim>", b"<dim>3| sh</dim>"))
    assert inspect_file(file).inputs[0].shape == [1, None]
