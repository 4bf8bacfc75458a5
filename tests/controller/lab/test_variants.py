"""Variants: really built, really run, reproducible, cached, and failing with a reason."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from edgedyno.controller.lab.detection_score import DetectionScorer

from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.scoring import score
from edgedyno.controller.lab.variants import build_variants, needs_reduce_range
from edgedyno.core.profile import QuantizeSpec
from tests.controller.lab import tiny
from tests.controller.lab.predict import predict, predict_job

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob, Variant
    from edgedyno.core.profile import ModelProfile


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    """Return a store that all tests share, so that the same variant is built once."""
    return ContentStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory, store: ContentStore) -> ResolvedJob:
    """Return the tiny job, resolved."""
    return resolve_job(tiny.job(), base=tiny.write_all(tmp_path_factory.mktemp("user")), store=store)


@pytest.fixture
def fresh(tmp_path: Path, resolved: ResolvedJob, store: ContentStore) -> ContentStore:
    """Return a store with the tiny job's files in which nothing was built."""
    return _copy(resolved, store, tmp_path / "fresh")


def _copy(resolved: ResolvedJob, store: ContentStore, root: Path) -> ContentStore:
    other = ContentStore(root)
    for reference in [resolved.source, *resolved.calibration]:
        other.add_file(store.path(reference.sha256))
    return other


def _model(resolved: ResolvedJob, **changes: object) -> ResolvedJob:
    profile: ModelProfile = msgspec.structs.replace(resolved.model, **changes)
    return msgspec.structs.replace(resolved, model=profile)


def _sha256(variant: Variant) -> str:
    assert variant.failure is None
    assert variant.file is not None
    return variant.file.sha256


def _int8(resolved: ResolvedJob, store: ContentStore, *, reduce_range: bool = True) -> Variant:
    (variant,) = build_variants(resolved, store=store, precisions=["int8"], reduce_range=reduce_range)
    return variant


def _fp16(resolved: ResolvedJob, store: ContentStore) -> Variant:
    (variant,) = build_variants(resolved, store=store, precisions=["fp16"], reduce_range=True)
    return variant


@pytest.mark.parametrize(
    ("features", "needed"),
    [
        (["sse4_2", "avx2", "fma"], True),
        (["avx2", "avx512f"], True),
        (["avx2", "avx512_vnni"], False),
        (["avx2", "avx_vnni"], False),
        (["fp", "asimd", "crc32"], False),
        (["asimd", "asimddp", "i8mm"], False),
        (["neon"], False),
        (["neon", "dotprod", "fp16_arith"], False),
        ([], True),
    ],
)
def test_only_x86_without_dot_products_needs_seven_bits(features: list[str], *, needed: bool) -> None:
    assert needs_reduce_range(features) is needed


def test_fp32_is_the_source_itself(resolved: ResolvedJob, store: ContentStore) -> None:
    (variant,) = build_variants(resolved, store=store, precisions=["fp32"], reduce_range=True)
    assert (variant.precision, variant.format, variant.file) == ("fp32", "onnx", resolved.source)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_variant_answers_as_the_source_does(
    resolved: ResolvedJob, store: ContentStore, precision: str
) -> None:
    variants = build_variants(resolved, store=store, precisions=["fp32", precision], reduce_range=True)  # type: ignore[list-item]
    source, built = (predict_job(resolved, _sha256(variant), store.read) for variant in variants)
    assert source.preparation_sha256 == built.preparation_sha256
    best = [[image.classes[0][0] for image in one.images] for one in (source, built)]
    assert best == [[0, 1, 2, 0, 1, 2]] * 2


def test_fp16_holds_half_precision_and_takes_and_gives_floats(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    (variant,) = build_variants(resolved, store=store, precisions=["fp16"], reduce_range=True)
    model = onnx.load_model_from_string(store.read(_sha256(variant)))
    assert {tensor.data_type for tensor in model.graph.initializer} == {onnx.TensorProto.FLOAT16}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_int8_is_per_channel_signed_weights_and_unsigned_activations(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    model = onnx.load_model_from_string(store.read(_sha256(_int8(resolved, store))))
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = tensors["kernel_quantized"]
    assert weights.dtype == np.int8
    assert np.abs(weights).max() <= 64
    assert tensors["kernel_scale"].shape == (3,)
    zero_points = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {tensors[name].dtype for name in zero_points} == {np.dtype(np.uint8)}
    domains = [(entry.domain, entry.version) for entry in model.opset_import]
    assert domains == [("", 13)]


def test_without_reduced_range_weights_use_all_bits(resolved: ResolvedJob, store: ContentStore) -> None:
    variant = _int8(resolved, store, reduce_range=False)
    model = onnx.load_model_from_string(store.read(_sha256(variant)))
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel_quantized")
    assert np.abs(onnx.numpy_helper.to_array(weights).astype(int)).max() > 64


def test_an_old_operator_set_is_lifted(tmp_path: Path, store: ContentStore) -> None:
    folder = tiny.write_all(tmp_path)
    tiny.write_model(folder / "tiny.onnx", opset=11)
    resolved = resolve_job(tiny.job(), base=folder, store=store)
    model = onnx.load_model_from_string(store.read(_sha256(_int8(resolved, store))))
    assert model.opset_import[0].version == 13


def test_excluded_nodes_stay_in_float(resolved: ResolvedJob, store: ContentStore) -> None:
    free = _int8(resolved, store)
    kept = _int8(_model(resolved, quantize=QuantizeSpec(exclude=["mixed"])), store)
    assert free.recipe["excluded"] == []
    assert kept.recipe["excluded"] == ["conv"]
    assert _sha256(free) != _sha256(kept)
    model = onnx.load_model_from_string(store.read(_sha256(kept)))
    assert [tensor.data_type for tensor in model.graph.initializer if tensor.name == "kernel"] == [
        onnx.TensorProto.FLOAT
    ]


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_every_calibration_method_works(resolved: ResolvedJob, store: ContentStore, method: str) -> None:
    quantize = msgspec.convert({"calibration_method": method}, QuantizeSpec)
    variant = _int8(_model(resolved, quantize=quantize), store)
    assert variant.recipe["calibration_method"] == method
    assert store.has(_sha256(variant))


def test_the_recipe_says_how_it_was_made(resolved: ResolvedJob, store: ContentStore) -> None:
    recipe = _int8(resolved, store).recipe
    assert recipe["source_sha256"] == resolved.source.sha256
    assert recipe["calibration_sha256"] == [image.sha256 for image in resolved.calibration]
    assert recipe["reduce_range"] is True
    assert recipe["tools"]["onnxruntime"] == onnxruntime.__version__
    assert recipe["build_seconds"] > 0


def test_few_calibration_images_are_warned_of(resolved: ResolvedJob, store: ContentStore) -> None:
    assert any("calibrated on 4 images" in text for text in _int8(resolved, store).recipe["warnings"])


def test_scored_calibration_images_are_warned_of(tmp_path: Path, store: ContentStore) -> None:
    folder = tiny.write_all(tmp_path)
    spec = tiny.job(dataset=tiny.dataset_profile(calibration="images"))
    variant = _int8(resolve_job(spec, base=folder, store=store), store)
    assert any("6 of the calibration images are also scored" in text for text in variant.recipe["warnings"])


def test_a_variant_is_built_once(
    resolved: ResolvedJob, fresh: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_variants(resolved, store=fresh, precisions=["fp16"], reduce_range=True)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    again = build_variants(resolved, store=fresh, precisions=["fp16"], reduce_range=True)
    assert again == first


def test_what_decides_the_file_decides_the_cache(resolved: ResolvedJob, store: ContentStore) -> None:
    full, reduced = (_int8(resolved, store, reduce_range=flag) for flag in (False, True))
    assert _sha256(full) != _sha256(reduced)
    fewer = msgspec.structs.replace(resolved, calibration=resolved.calibration[:2])
    assert _int8(fewer, store).recipe["calibration_sha256"] != full.recipe["calibration_sha256"]


def test_a_cached_variant_whose_file_is_gone_is_built_again(
    resolved: ResolvedJob, fresh: ContentStore
) -> None:
    first = _fp16(resolved, fresh)
    fresh.remove(_sha256(first))
    assert _sha256(_fp16(resolved, fresh)) == _sha256(first)
    assert fresh.has(_sha256(first))


def test_int8_without_calibration_images_fails_with_a_reason(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    bare = msgspec.structs.replace(resolved, calibration=[])
    fp16, int8 = build_variants(bare, store=store, precisions=["fp16", "int8"], reduce_range=True)
    assert fp16.failure is None
    assert int8.file is None
    assert int8.failure is not None
    assert int8.failure.code == "variant.no-calibration"


def test_a_calibration_image_that_does_not_decode_is_named(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    broken = [*resolved.calibration, store.add_bytes(b"no image", name="broken.jpg")]
    variant = _int8(msgspec.structs.replace(resolved, calibration=broken), store)
    assert variant.failure is not None
    assert variant.failure.code == "image.undecodable"
    assert "broken.jpg" in variant.failure.text


def test_weights_beyond_half_precision_fail_with_a_reason(tmp_path: Path, store: ContentStore) -> None:
    folder = tiny.write_all(tmp_path)
    model = tiny.model()
    kernel = onnx.numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1e7)
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(kernel, "kernel"))
    onnx.save(model, folder / "tiny.onnx")
    resolved = resolve_job(tiny.job(), base=folder, store=store)
    (variant,) = build_variants(resolved, store=store, precisions=["fp16"], reduce_range=True)
    assert variant.file is None or variant.recipe["truncated_weights"]


def _interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ("kill -SEGV $$", "variant.crashed", "SIGSEGV"),
        ("kill -KILL $$", "variant.crashed", "out of memory"),
        ("echo no space left >&2; exit 3", "variant.crashed", "status 3: no space left"),
        ("exit 0", "variant.crashed", "said nothing"),
    ],
)
def test_a_build_that_dies_costs_one_variant(
    resolved: ResolvedJob,
    fresh: ContentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    code: str,
    text: str,
) -> None:
    _interpreter(tmp_path, monkeypatch, script)
    fp32, int8 = build_variants(resolved, store=fresh, precisions=["fp32", "int8"], reduce_range=True)
    assert fp32.file is not None
    assert int8.failure is not None
    assert (int8.failure.code, text in int8.failure.text) == (code, True)


def test_a_build_that_hangs_is_ended(
    resolved: ResolvedJob, fresh: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interpreter(tmp_path, monkeypatch, "exec sleep 600")
    (variant,) = build_variants(
        resolved, store=fresh, precisions=["int8"], reduce_range=True, timeout_seconds=0.3
    )
    assert variant.failure is not None
    assert variant.failure.code == "variant.timeout"


def test_a_failure_is_not_cached(
    resolved: ResolvedJob, fresh: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        _interpreter(tmp_path, broken, "exit 3")
        assert _fp16(resolved, fresh).failure is not None
    assert _fp16(resolved, fresh).failure is None


def test_the_building_process_is_told_not_to_report(
    resolved: ResolvedJob, fresh: ContentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    _interpreter(tmp_path, monkeypatch, 'echo "telemetry off: $ORT_DISABLE_TELEMETRY" >&2; exit 3')
    failure = _int8(resolved, fresh).failure
    assert failure is not None
    assert "telemetry off: 1" in failure.text


def test_two_builds_in_two_processes_are_equal_byte_for_byte(
    sample_jobs: dict[str, ResolvedJob],
    sample_store: ContentStore,
    sample_variants: dict[str, dict[str, Variant]],
    tmp_path: Path,
) -> None:
    resolved = sample_jobs["fastestdet"]
    other = _copy(resolved, sample_store, tmp_path / "other")
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})  # on one CPU, where the first build had all
    try:
        again = build_variants(resolved, store=other, precisions=["fp16", "int8"], reduce_range=True)
    finally:
        os.sched_setaffinity(0, cpus)
    for variant in again:
        data = other.read(_sha256(variant))
        assert hashlib.sha256(data).hexdigest() == _sha256(sample_variants["fastestdet"][variant.precision])


# FP32 as the models' origin was measured with the same protocol; INT8 and FP16 with a margin for other versions
# of the tools (docs/adr/0002 has what was reached).
@pytest.mark.parametrize(
    ("name", "fp32", "int8_drop"),
    [
        ("fastestdet", 0.238, (-0.03, 0.03)),
        ("yolox_nano", 0.402, (0.10, 0.30)),  # the collapse that the sample job shows
        ("yolox_nano_float_stem", 0.402, (-0.03, 0.03)),
    ],
)
def test_the_samples_keep_or_lose_their_accuracy_as_told(
    sample_jobs: dict[str, ResolvedJob],
    sample_store: ContentStore,
    sample_variants: dict[str, dict[str, Variant]],
    name: str,
    fp32: float,
    int8_drop: tuple[float, float],
) -> None:
    resolved, variants = sample_jobs[name], sample_variants[name]
    assert resolved.annotations is not None
    annotations = sample_store.read(resolved.annotations.sha256)
    predictions = {
        precision: predict_job(resolved, _sha256(variant), sample_store.read)
        for precision, variant in variants.items()
    }
    for precision, ours in predictions.items():
        found = score(
            ours, annotations=annotations, class_names=resolved.class_names, baseline=predictions["fp32"]
        )
        assert found.drop is not None
        if precision == "fp32":
            assert found.accuracy.value == pytest.approx(fp32, abs=0.001)
        else:
            least, most = int8_drop if precision == "int8" else (-0.003, 0.003)
            assert least < found.drop.value < most
        assert found.accuracy.images == 17


@pytest.mark.zoo
@pytest.mark.long
@pytest.mark.parametrize(("name", "expected"), [("fastestdet", 0.198), ("yolox_nano", 0.333)])
def test_fp32_reproduces_what_was_measured_on_140_images(
    zoo: Path, sample_jobs: dict[str, ResolvedJob], sample_store: ContentStore, name: str, expected: float
) -> None:
    resolved = sample_jobs[name]
    found = _score_zoo(zoo, sample_store.read(resolved.source.sha256), resolved.model, resolved.class_names)
    assert found == pytest.approx(expected, abs=0.001)


@pytest.mark.zoo
def test_a_users_own_model_reproduces_what_was_measured(
    zoo: Path, sample_jobs: dict[str, ResolvedJob]
) -> None:
    profile = msgspec.convert(
        {
            "name": "yolov5n",
            "task": "detect",
            "source": "yolov5n.onnx",
            "input": {"size": [416, 416], "resize": "letterbox-center", "colour": "RGB"},
            "output": {"decoder": "yolov5"},
        },
        type(sample_jobs["fastestdet"].model),
    )
    data = (zoo / "models/yolov5n/yolov5n_416_fp32.onnx").read_bytes()
    found = _score_zoo(zoo, data, profile, sample_jobs["fastestdet"].class_names)
    assert found == pytest.approx(0.3035, abs=0.001)


def _score_zoo(zoo: Path, model: bytes, profile: ModelProfile, class_names: list[str]) -> float:
    folder = zoo / "data/coco_val_140"
    annotations = (folder / "instances.json").read_bytes()
    listed = msgspec.json.decode(annotations)["images"]
    images = ((image["id"], (folder / "images" / image["file_name"]).read_bytes()) for image in listed)
    predictions = predict(model, profile, images)
    return DetectionScorer(annotations, class_names).value(predictions.images)[0]
