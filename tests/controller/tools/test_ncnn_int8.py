"""What the quantizer writes: scales, terms, integers between layers, levels, biases, channels."""

from __future__ import annotations

import numpy as np
import pytest

from edgedyno.controller.lab.variants.tools.ncnn_channels import Channels
from edgedyno.controller.lab.variants.tools.ncnn_equalize import equalize, free_writers, reader_factors
from edgedyno.controller.lab.variants.tools.ncnn_int8 import candidates, quantize
from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, read_graph, write_graph
from edgedyno.controller.lab.variants.tools.ncnn_weights import Array, Weights, read_weights, write_weights
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

CHAIN = """7767517
6 7
Input in0 0 1 in0
Convolution first 1 1 in0 a 0=4 1=1 5=1 6=12 9=1
Split split 1 2 a b c
ConvolutionDepthWise depth 1 1 b d 0=4 1=3 4=1 5=1 6=36 7=4
Convolution second 1 1 c e 0=2 1=1 5=1 6=8
Concat join 2 1 d e out0 0=0
"""


def chain() -> tuple[Graph, list[Weights]]:
    graph = read_graph(CHAIN)
    random = np.random.default_rng(3)
    arrays: list[Weights] = []
    for layer in graph.layers:
        size = layer.integer(6)
        arrays.append(
            {
                "weight": Array(random.normal(size=size).astype(np.float32), "fp32"),
                "bias": Array(random.normal(size=layer.integer(0)).astype(np.float32), "raw"),
            }
            if size
            else {}
        )
    return graph, arrays


def test_integers_pass_where_all_readers_are_integer() -> None:
    graph, weights = chain()
    found = quantize(graph, weights, {1: 2.0, 3: 5.0, 4: 5.0})
    assert [layer.integer(8) for layer in found.graph.layers] == [0, 102, 0, 1, 2, 0]
    assert found.requantized == ["first"]
    assert list(found.weights[1]) == ["weight", "bias", "weight_scales", "bottom_scale", "top_scale"]
    assert found.weights[1]["bottom_scale"].values.tolist() == [63.5]
    assert found.weights[1]["top_scale"].values.tolist() == pytest.approx([25.4])
    assert found.weights[3]["weight_scales"].values.size == 4


def test_floats_pass_where_one_reader_is_float() -> None:
    graph, weights = chain()
    found = quantize(graph, weights, {1: 2.0, 3: 5.0})
    assert [layer.integer(8) for layer in found.graph.layers] == [0, 2, 0, 1, 0, 0]
    assert found.weights[4]["weight"].storage == "fp16"


def test_an_output_is_never_integer() -> None:
    graph, weights = chain()
    cut = Graph(graph.layers[:4])
    assert quantize(cut, weights[:4], {1: 2.0, 3: 5.0}).requantized == []


def test_weights_are_within_half_a_step() -> None:
    graph, weights = chain()
    found = quantize(graph, weights, {1: 2.0, 3: 5.0, 4: 5.0})
    scales = found.weights[1]["weight_scales"].values[:, None]
    back = found.weights[1]["weight"].values.reshape(4, -1) / scales
    assert np.all(np.abs(back - weights[1]["weight"].values.reshape(4, -1)) <= 0.5001 / scales)


def test_a_channel_without_weights_keeps_a_finite_scale() -> None:
    graph, weights = chain()
    weights[1]["weight"].values[:3] = 0
    found = quantize(graph, weights, {1: 2.0})
    assert found.weights[1]["weight_scales"].values[0] == 1.0


def test_biases_make_up_for_rounded_weights() -> None:
    graph, weights = chain()
    means = np.array([1.0, 10.0, -5.0], np.float32)
    found = quantize(graph, weights, {1: 12.0}, {1: means})
    scales = found.weights[1]["weight_scales"].values[:, None]
    rounded = found.weights[1]["weight"].values.reshape(4, 3) / scales
    expected = weights[1]["weight"].values.reshape(4, 3) @ means + weights[1]["bias"].values
    assert rounded @ means + found.weights[1]["bias"].values == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("inputs", "lowered"), [(16, False), (512, True)])
def test_winograd_layers_get_as_many_bits_as_cannot_overflow(inputs: int, lowered: bool) -> None:
    graph = read_graph(f"7767517\n1 1\nConvolution c 1 1 a b 0=1 1=3 3=1 4=1 6={inputs * 9}\n")
    weights: list[Weights] = [{"weight": Array(np.ones(inputs * 9, np.float32), "fp32")}]
    found = quantize(graph, weights, {0: 1.0})
    integers = np.abs(found.weights[0]["weight"].values.astype(np.int64))
    assert 576 * 127 * int(integers.sum()) < 2**31
    assert bool(found.levels) is lowered


def test_an_int8_source_is_refused() -> None:
    graph, weights = chain()
    done = quantize(graph, weights, {1: 2.0}).graph
    with pytest.raises(BuildError) as failure:
        candidates(done)
    assert failure.value.code == "variant.source"


def test_equalized_weights_compute_the_same() -> None:
    text = (
        CHAIN.replace("\n6 7\n", "\n7 8\n").replace("out0", "f")
        + "Convolution last 1 1 f out0 0=1 1=1 5=1 6=6\n"
    )
    graph = read_graph(text)
    _, weights = chain()
    weights.append({"weight": Array(np.arange(6, dtype=np.float32) + 1, "fp32"), "bias": weights[1]["bias"]})
    assert free_writers(graph) == [1, 3, 4]
    peaks = {
        1: np.array([1, 100, 0, 3], np.float32),
        3: np.full(4, 2, np.float32),
        4: np.array([5, 50], np.float32),
    }
    found = equalize(graph, weights, peaks)
    pixel = np.array([1.0, -2.0, 3.0])
    assert forward(found, pixel) == pytest.approx(forward(weights, pixel), rel=1e-4)
    assert not np.allclose(found[1]["weight"].values, weights[1]["weight"].values)


def forward(weights: list[Weights], pixel: np.ndarray) -> float:
    """Compute the chain on an image of one pixel, where the 3x3 kernel's centre alone counts."""
    first = np.maximum(weights[1]["weight"].values.reshape(4, 3) @ pixel + weights[1]["bias"].values, 0)
    depth = weights[3]["weight"].values.reshape(4, 9)[:, 4] * first + weights[3]["bias"].values
    second = weights[4]["weight"].values.reshape(2, 4) @ first + weights[4]["bias"].values
    joined = np.concatenate([depth, second])
    return float(weights[6]["weight"].values @ joined)


def test_channels_before_a_swish_or_an_output_are_pinned() -> None:
    graph = read_graph(
        "7767517\n4 4\nInput in0 0 1 in0\nConvolution a 1 1 in0 x 0=2 1=1 6=6\nSwish s 1 1 x y\n"
        "Convolution b 1 1 y out0 0=2 1=1 6=4\n"
    )
    channels = Channels(graph)
    assert not any(channels.free(ids).any() for ids in channels.writers.values())


def test_a_layer_with_uneven_channels_reads_through_a_scale_per_channel() -> None:
    graph, weights = chain()
    divisors = np.array([1.0, 100.0, 0.01, 1.0], np.float32)
    found = quantize(graph, weights, {1: 2.0, 3: 5.0, 4: 5.0}, None, {4: divisors})
    layers = found.graph.layers
    assert [layer.type for layer in layers[3:6]] == ["ConvolutionDepthWise", "Quantize", "Convolution"]
    assert layers[4].bottoms == ("c",)
    assert layers[5].bottoms == layers[4].tops
    assert found.divided == ["second"]
    # One of its readers wants other integers than the other: the first convolution gives floats.
    assert found.requantized == []
    assert found.weights[4]["scale"].values == pytest.approx(127 / 5.0 / divisors)
    pixel = np.array([3.0, 250.0, -0.02, 1.0])
    levels = np.rint(pixel * found.weights[4]["scale"].values)
    sums = found.weights[5]["weight"].values.reshape(2, 4).astype(np.float64) @ levels
    back = sums / found.weights[5]["weight_scales"].values / found.weights[5]["bottom_scale"].values
    exact = weights[4]["weight"].values.reshape(2, 4) @ pixel
    assert back == pytest.approx(exact, abs=0.02 * float(np.abs(exact).max()))
    assert layers == list(read_graph(write_graph(found.graph)).layers)
    assert read_weights(found.graph, write_weights(found.weights))[4]["scale"].values.size == 4


def test_layers_are_read_divided_where_floats_are_uneven() -> None:
    layer = chain()[0].layers[4]
    weights = chain()[1][4]
    found = reader_factors(layer, weights, np.array([1.0, 100.0, 0.0, 1.0], np.float32))
    assert found is not None
    assert found.argmax() == 1
    assert found.min() > 0
    assert reader_factors(layer, weights, np.zeros(4, np.float32)) is None
    assert reader_factors(layer, weights, np.ones(5, np.float32)) is None
