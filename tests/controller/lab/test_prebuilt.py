"""The user's own variants: taken as they are, bundled, refused with a reason; and their place among built ones."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.variants import build_variants
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.profile import Prebuilt
from tests.controller.lab import tiny
from tests.controller.lab.test_inspection import IR, NCNN

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.manifest import ResolvedJob


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """Return a folder with the tiny job's files and own variants of several formats."""
    folder = tiny.write_all(tmp_path)
    tiny.write_model(folder / "mine.onnx")
    (folder / "pair.param").write_text(NCNN)
    (folder / "pair.bin").write_bytes(bytes(85))
    (folder / "turned.xml").write_text(IR)
    (folder / "turned.bin").write_bytes(bytes(18))
    return folder


def _resolve(user: Path, store: ContentStore, *variants: dict[str, Any]) -> ResolvedJob:
    brought = msgspec.convert(list(variants), list[Prebuilt])
    return resolve_job(tiny.job(model=tiny.model_profile(variants=brought)), base=user, store=store)


def test_two_files_become_one_bundle_that_is_the_same_every_time(user: Path, store: ContentStore) -> None:
    (variant,) = _resolve(user, store, {"file": "pair.param", "precision": "int8"}).prebuilt
    assert (variant.format, variant.precision, variant.name) == ("ncnn", "int8", "")
    assert variant.file is not None
    with zipfile.ZipFile(store.path(variant.file.sha256)) as bundle:
        assert {name: bundle.read(name) for name in bundle.namelist()} == {
            "model.param": NCNN.encode(),
            "model.bin": bytes(85),
        }
    (user / "pair.param").touch()
    assert _resolve(user, store, {"file": "pair.param", "precision": "int8"}).prebuilt == [variant]
    assert set(variant.recipe["files"]) == {"pair.param", "pair.bin"}


def test_a_layout_of_its_own_is_taken_for_workers_turn_it(user: Path, store: ContentStore) -> None:
    (variant,) = _resolve(user, store, {"file": "turned.xml", "precision": "fp16"}).prebuilt
    assert variant.format == "openvino"
    assert variant.input is None, "the same preparation as FP32, or the two could not be compared"


def test_a_precision_that_the_weights_do_not_bear_out_is_warned_of(user: Path, store: ContentStore) -> None:
    (variant,) = _resolve(user, store, {"file": "mine.onnx", "precision": "int8"}).prebuilt
    assert any("most of its weights are fp32" in text for text in variant.recipe["warnings"])


@pytest.mark.parametrize(
    ("variant", "code", "words"),
    [
        ({"file": "lies.tflite"}, "prebuilt.format", ["a TFLite model", "an ONNX model"]),
        ({"file": "mine.onnx", "format": "ncnn"}, "prebuilt.format", ["an ncnn graph", "an ONNX model"]),
        ({"file": "alone.param"}, "model.missing-part", ["alone.bin"]),
        ({"file": "odd.param"}, "prebuilt.unusable", ["'YoloV5Focus'"]),
        ({"file": "cut.onnx"}, "model.damaged", ["cut short"]),
        ({"file": "mine.onnx", "input": {"size": [32, 32]}}, "prebuilt.input", ["[1, 3, 16, 16]", "32"]),
    ],
)
def test_what_is_no_good_fails_alone_and_says_why(
    user: Path, store: ContentStore, variant: dict[str, Any], code: str, words: list[str]
) -> None:
    tiny.write_model(user / "lies.tflite")
    (user / "alone.param").write_text(NCNN)
    (user / "odd.param").write_text(NCNN.replace("ReLU ", "YoloV5Focus "))
    (user / "odd.bin").write_bytes(bytes(85))
    (user / "cut.onnx").write_bytes((user / "mine.onnx").read_bytes()[:-20])
    good = {"file": "mine.onnx", "precision": "fp16"}
    found, other = _resolve(user, store, {"precision": "fp32", **variant}, good).prebuilt
    assert other.failure is None
    assert (found.file, found.recipe) == (None, {"method": "brought by its user"})
    assert found.failure is not None
    assert found.failure.code == code
    for word in words:
        assert word in found.failure.text


def test_a_failed_file_stands_for_the_format_that_its_user_meant(user: Path, store: ContentStore) -> None:
    """By its content it would take the place of the built ONNX, which the others are compared with."""
    tiny.write_model(user / "lies.tflite")
    resolved = _resolve(user, store, {"precision": "fp32", "file": "lies.tflite"})
    formats = ["onnx", "tflite"]
    built = build_variants(resolved, store=store, precisions=["fp32"], reduce_range=True, formats=formats)
    assert [(each.format, each.failure is None) for each in built] == [("onnx", True), ("tflite", False)]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("gone.tflite", "model.missing", "gone.tflite"),
        ("m.engine", "prebuilt.unsupported", "native code"),
        ("m.pt", "prebuilt.unsupported", "export it to ONNX"),
    ],
)
def test_what_nothing_can_be_made_of_ends_the_job(
    user: Path, store: ContentStore, name: str, code: str, words: str
) -> None:
    (user / "m.engine").write_bytes(b"ftrt" + bytes(60))
    (user / "m.pt").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(EdgedynoError, match=words) as caught:
        _resolve(user, store, {"precision": "fp32", "file": name})
    assert caught.value.code == code


def test_two_of_one_kind_need_names(user: Path, store: ContentStore) -> None:
    one = {"file": "mine.onnx", "precision": "fp16"}
    with pytest.raises(EdgedynoError, match="another `name`") as caught:
        _resolve(user, store, one, one)
    assert caught.value.code == "prebuilt.twice"
    assert len(_resolve(user, store, one, {**one, "name": "tuned"}).prebuilt) == 2


def test_a_prebuilt_variant_takes_the_place_of_a_built_one_unless_it_has_a_name(
    user: Path, store: ContentStore
) -> None:
    resolved = _resolve(
        user,
        store,
        {"file": "mine.onnx", "precision": "fp16"},
        {"file": "mine.onnx", "precision": "fp32", "name": "tuned"},
        {"file": "pair.param", "precision": "int8"},
    )
    built = build_variants(
        resolved, store=store, precisions=["fp32", "fp16"], reduce_range=True, formats=["onnx", "ncnn"]
    )
    seen = [(each.format, each.precision, each.name, each.recipe.get("method")) for each in built]
    assert seen == [
        ("onnx", "fp32", "", "the source itself"),
        ("onnx", "fp32", "tuned", "brought by its user"),
        ("onnx", "fp16", "", "brought by its user"),
        ("ncnn", "fp32", "", None),
        ("ncnn", "fp16", "", None),
    ]
    assert all(each.failure and each.failure.code == "builder.missing" for each in built[3:])


def test_what_was_brought_is_among_the_files_that_a_job_needs(user: Path, store: ContentStore) -> None:
    from edgedyno.controller.submission import needed_files

    resolved = _resolve(user, store, {"file": "pair.param", "precision": "int8"})
    (variant,) = resolved.prebuilt
    assert variant.file is not None
    assert variant.file.sha256 in needed_files(resolved)
