"""ONNX INT8 as the profile's `quantize` says, and the search of what to leave in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest
from edgedyno.controller.lab.detection_score import DetectionScorer
from onnx import helper, numpy_helper

from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.variants import build_variants
from edgedyno.controller.lab.variants.sensitivity import MAX_BLOCKS, blocks_of
from edgedyno.controller.lab.variants.tools.fewest import fewest
from edgedyno.core.profile import QuantizeSpec
from tests.controller.lab import tiny
from tests.controller.lab.predict import predict, predict_job

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob, Variant


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContentStore:
    """Return a store that all tests share."""
    return ContentStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory, store: ContentStore) -> ResolvedJob:
    """Return the tiny job, resolved."""
    return resolve_job(tiny.job(), base=tiny.write_all(tmp_path_factory.mktemp("user")), store=store)


def _quantized(resolved: ResolvedJob, store: ContentStore, **quantize: Any) -> Variant:
    spec = msgspec.convert(quantize, QuantizeSpec)
    model = msgspec.structs.replace(resolved.model, quantize=spec)
    (variant,) = build_variants(
        msgspec.structs.replace(resolved, model=model), store=store, precisions=["int8"], reduce_range=True
    )
    return variant


def _graph(variant: Variant, store: ContentStore) -> Any:
    assert variant.failure is None
    assert variant.file is not None
    return onnx.load_model_from_string(store.read(variant.file.sha256))


def _types(model: Any) -> set[str]:
    return {node.op_type for node in model.graph.node}


def _best(resolved: ResolvedJob, variant: Variant, store: ContentStore) -> list[int]:
    assert variant.file is not None
    seen = predict_job(resolved, variant.file.sha256, store.read)
    return [image.classes[0][0] for image in seen.images]


@pytest.mark.parametrize(
    ("quantize", "operators", "activations"),
    [
        ({}, {"QuantizeLinear", "DequantizeLinear", "Conv"}, "uint8"),
        ({"scheme": "qoperator"}, {"QLinearConv"}, "uint8"),
        ({"activations": "int8"}, {"QuantizeLinear", "DequantizeLinear"}, "int8, symmetric"),
        ({"symmetric": True}, {"QuantizeLinear"}, "uint8, symmetric"),
        ({"scheme": "dynamic"}, {"ConvInteger", "DynamicQuantizeLinear"}, "uint8, ranges at run time"),
        ({"activations": "int8", "calibration_method": "percentile"}, {"QuantizeLinear"}, "int8, symmetric"),
    ],
)
def test_every_form_is_built_answers_and_says_what_it_is(
    resolved: ResolvedJob,
    store: ContentStore,
    quantize: dict[str, Any],
    operators: set[str],
    activations: str,
) -> None:
    variant = _quantized(resolved, store, **quantize)
    model = _graph(variant, store)
    assert operators <= _types(model)
    assert variant.recipe["activations"] == activations
    if quantize.get("scheme") != "dynamic":
        assert variant.recipe["output_sqnr_db"] > 10
    assert _best(resolved, variant, store) == [0, 1, 2, 0, 1, 2]


def test_signed_activations_are_quantized_about_zero(resolved: ResolvedJob, store: ContentStore) -> None:
    model = _graph(_quantized(resolved, store, activations="int8"), store)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    zeros = [tensors[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert zeros
    assert all(zero.dtype == np.int8 and not zero.any() for zero in zeros)


def test_one_scale_for_all_channels_where_the_profile_says_so(
    resolved: ResolvedJob, store: ContentStore
) -> None:
    model = _graph(_quantized(resolved, store, per_channel=False), store)
    scale = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel_scale")
    assert numpy_helper.to_array(scale).size == 1


def test_dynamic_quantization_needs_no_calibration_images(resolved: ResolvedJob, store: ContentStore) -> None:
    bare = msgspec.structs.replace(resolved, calibration=[])
    variant = _quantized(bare, store, scheme="dynamic")
    assert variant.failure is None
    assert "warnings" not in variant.recipe


def _fragile() -> Any:
    """Return the tiny classifier with a second convolution, whose sums 8 bits cannot hold: x + 1000 - 1000."""
    model = tiny.model()
    graph = model.graph
    same = np.zeros((3, 3, 1, 1), np.float32)
    same[range(3), range(3)] = 1
    graph.initializer.extend(
        [
            numpy_helper.from_array(same, "same"),
            numpy_helper.from_array(np.full((1, 3, 1, 1), 1000, np.float32), "much"),
        ]
    )
    pool = next(node for node in graph.node if node.op_type == "GlobalAveragePool")
    pool.input[0] = "back"
    late = [graph.node.pop() for _ in range(2)][::-1]
    graph.node.extend(
        [
            helper.make_node("Conv", ["positive", "same"], ["copy"], name="copy"),
            helper.make_node("Add", ["copy", "much"], ["far"], name="away"),
            helper.make_node("Sub", ["far", "much"], ["back"], name="home"),
            *late,
        ]
    )
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, store: ContentStore) -> ResolvedJob:
    """Return a job over a model of which one block cannot be quantized."""
    folder = tiny.write_all(tmp_path_factory.mktemp("fragile"))
    onnx.save(_fragile(), folder / "tiny.onnx")
    return resolve_job(tiny.job(), base=folder, store=store)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_search_leaves_the_fragile_block_in_float_and_tells_its_path(
    fragile: ResolvedJob, store: ContentStore, *, labelled: bool
) -> None:
    job = fragile if labelled else msgspec.structs.replace(fragile, annotations=None)
    plain = _quantized(job, store)
    assert _best(fragile, plain, store) != [0, 1, 2, 0, 1, 2], "else there is nothing to find"
    found = _quantized(job, store, accuracy_control=0.01)
    assert _best(fragile, found, store) == [0, 1, 2, 0, 1, 2]
    recipe = found.recipe
    assert {"copy", "home"} <= set(recipe["excluded"])
    assert "conv" not in recipe["excluded"]
    assert [step["blocks_in_float"] for step in recipe["tried"]] == [0, 1]
    assert recipe["tried"][0]["drop"] > 0.3
    assert recipe["drop"] == 0.0
    assert recipe["blocks_in_float"][0]["noise_ratio"] > 0
    word = "labelled images" if labelled else "calibration images, against what FP32 sees"
    assert word in recipe["drop_by"]
    wanted = "reads too high" if labelled else "without labels"
    assert any(wanted in text for text in recipe["warnings"])


def test_the_search_works_for_dynamic_quantization(fragile: ResolvedJob, store: ContentStore) -> None:
    found = _quantized(fragile, store, accuracy_control=0.01, scheme="dynamic")
    assert found.failure is None
    assert _best(fragile, found, store) == [0, 1, 2, 0, 1, 2]


def test_a_search_that_finds_nothing_tells_its_nearest_miss(
    fragile: ResolvedJob, store: ContentStore
) -> None:
    one_block = _single_block(fragile, store)
    variant = _quantized(one_block, store, accuracy_control=0.01)
    assert variant.failure is not None
    assert variant.failure.code == "variant.accuracy"
    assert "the nearest loses" in variant.failure.text
    assert "with 0 of 1 blocks in float" in variant.failure.text


def _single_block(fragile: ResolvedJob, store: ContentStore) -> ResolvedJob:
    """Return the fragile model without its second convolution: all of it is one block."""
    model = onnx.load_model_from_string(store.read(fragile.source.sha256))
    copy = next(node for node in model.graph.node if node.name == "copy")
    away = next(node for node in model.graph.node if node.name == "away")
    away.input[0] = copy.input[0]
    model.graph.node.remove(copy)
    return msgspec.structs.replace(fragile, source=store.add_bytes(model.SerializeToString()))


def test_a_search_without_any_image_says_so(fragile: ResolvedJob, store: ContentStore) -> None:
    bare = msgspec.structs.replace(fragile, annotations=None, calibration=[])
    variant = _quantized(bare, store, accuracy_control=0.01, scheme="dynamic")
    assert variant.failure is not None
    assert variant.failure.code == "variant.no-reference"


@pytest.mark.parametrize(
    ("drops", "total", "count", "looks"),
    [
        ([0.0], 10, 0, 1),
        ([0.2, 0.0], 10, 1, 2),
        ([0.2, 0.2, 0.0], 10, 2, 3),
        ([0.2] * 5 + [0.0] * 5, 10, 5, 7),
        ([0.2] * 6 + [0.0] * 18, 24, 6, 8),
        ([0.2] * 10, 10, None, 6),
        ([0.2], 1, None, 1),
        ([0.2], 0, None, 1),
    ],
)
def test_as_few_blocks_as_will_do_in_few_looks(
    drops: list[float], total: int, count: int | None, looks: int
) -> None:
    seen = []

    def drop(number: int) -> float:
        seen.append(number)
        return drops[number]

    assert fewest(drop, total, 0.01) == count
    assert len(set(seen)) <= looks
    assert all(number < max(total, 1) for number in seen), "at least one block stays quantized"


def test_blocks_are_bounded_keep_the_order_and_leave_out_what_is_excluded(
    sample_jobs: dict[str, ResolvedJob], sample_store: ContentStore
) -> None:
    model = onnx.load_model_from_string(sample_store.read(sample_jobs["yolox_nano"].source.sha256))
    nodes = [node.name for node in model.graph.node]
    blocks = blocks_of(model, nodes[-5:])
    assert 1 < len(blocks) <= MAX_BLOCKS
    assert [name for block in blocks for name in block.nodes] == nodes[:-5]


@pytest.mark.zoo
@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(("labelled", "limit"), [(True, 0.01), (False, 0.03)])
def test_the_search_finds_a_recipe_for_yolox_as_good_as_the_one_made_by_hand(
    zoo: Path,
    sample_jobs: dict[str, ResolvedJob],
    sample_store: ContentStore,
    *,
    labelled: bool,
    limit: float,
) -> None:
    """Score on the images of the 140 that neither calibrated nor were searched on."""
    searched = sample_jobs["yolox_nano"]
    if not labelled:
        searched = msgspec.structs.replace(searched, annotations=None)
    spec = msgspec.structs.replace(searched.model.quantize, accuracy_control=limit)
    model = msgspec.structs.replace(searched.model, quantize=spec)
    variants = build_variants(
        msgspec.structs.replace(searched, model=model),
        store=sample_store,
        precisions=["fp32", "int8"],
        reduce_range=True,
    )
    variants += build_variants(
        sample_jobs["yolox_nano_float_stem"], store=sample_store, precisions=["int8"], reduce_range=True
    )
    fp32, found, by_hand = (_map(zoo, searched, variant, sample_store) for variant in variants)
    assert fp32 - found < 0.02
    assert found > by_hand - 0.005


def _map(zoo: Path, resolved: ResolvedJob, variant: Variant, store: ContentStore) -> float:
    assert variant.failure is None, variant.failure
    assert variant.file is not None
    folder = zoo / "data/coco_val_140"
    annotations = (folder / "instances.json").read_bytes()
    seen = {image.file.name for image in resolved.images} | {each.name for each in resolved.calibration}
    images = [
        (image["id"], (folder / "images" / image["file_name"]).read_bytes())
        for image in msgspec.json.decode(annotations)["images"]
        if image["file_name"] not in seen
    ]
    assert len(images) == 99
    predictions = predict(store.read(variant.file.sha256), resolved.model, images)
    return DetectionScorer(annotations, resolved.class_names).value(predictions.images)[0]


def test_named_recipes_are_variants_of_their_own(resolved: ResolvedJob, store: ContentStore) -> None:
    quantize = msgspec.structs.replace(resolved.model.quantize, exclude=[])
    recipes = {
        "dynamic": QuantizeSpec(scheme="dynamic"),
        "integers": QuantizeSpec(scheme="qoperator"),
        "again": quantize,
    }
    model = msgspec.structs.replace(resolved.model, quantize=quantize, recipes=recipes)
    job = msgspec.structs.replace(resolved, model=model)
    built = build_variants(job, store=store, precisions=["fp32", "int8"], reduce_range=True)
    # `again` changes nothing, and so is no variant.
    assert [(each.precision, each.name) for each in built] == [
        ("fp32", ""),
        ("int8", ""),
        ("int8", "dynamic"),
        ("int8", "integers"),
    ]
    assert [each.failure for each in built] == [None] * 4
    assert "DynamicQuantizeLinear" in _types(_graph(built[2], store))
    assert "QLinearConv" in _types(_graph(built[3], store)) or "QLinearMatMul" in _types(
        _graph(built[3], store)
    )
