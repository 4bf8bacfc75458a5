"""Reading and writing of .param and .bin: real files byte for byte, and files that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer, read_graph, write_graph
from edgedyno.controller.lab.variants.tools.ncnn_weights import (
    Array,
    in_half_precision,
    read_weights,
    write_weights,
)
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from pathlib import Path

CONVOLUTION = Layer("Convolution", "c", ("in0",), ("out0",), {0: "2", 1: "1", 5: "1", 6: "6"})
GRAPH = Graph([Layer("Input", "in0", (), ("in0",), {}), CONVOLUTION])
ARRAYS = [
    {},
    {"weight": Array(np.arange(6, dtype=np.float32), "fp32"), "bias": Array(np.ones(2, np.float32), "raw")},
]


@pytest.mark.zoo
@pytest.mark.parametrize("stem", ["fastestdet/ncnn/FastestDet", "squeezenet_v1.1/ncnn/squeezenet_v1.1"])
def test_real_files_come_back_byte_for_byte(zoo: Path, stem: str) -> None:
    text = (zoo / f"models/{stem}.param").read_text("utf-8")
    data = (zoo / f"models/{stem}.bin").read_bytes()
    graph = read_graph(text)
    assert read_graph(write_graph(graph)) == graph
    assert write_graph(graph).split() == text.split()
    assert write_weights(read_weights(graph, data)) == data


def test_parameters_keep_their_text_even_with_spaces() -> None:
    line = 'Einsum e 1 1 a b 0="i j" -23301=2,3,4 1=1.5e-3'
    graph = read_graph(f"7767517\n1 1\n{line}\n")
    assert graph.layers[0].params == {0: '"i j"', -23301: "2,3,4", 1: "1.5e-3"}
    assert write_graph(graph).splitlines()[2].split(None, 6)[6] == line.split(None, 6)[6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing"),
        ("{}\n", "'{}'"),
        ("7767517\n2 1\nInput a 0 1 a\n", "1 layers"),
        ("7767517\n1 1\nSplit s 1 2 a b\n", "fewer blobs"),
        ("7767517\n1 1\nSplit\n", "cannot be read"),
    ],
)
def test_a_text_that_is_no_param_is_named(text: str, said: str) -> None:
    with pytest.raises(BuildError, match=said) as failure:
        read_graph(text)
    assert failure.value.code == "ncnn.param"


def test_each_storage_comes_back_with_its_padding() -> None:
    graph = Graph([CONVOLUTION._replace(params={0: "3", 1: "1", 6: "3"})])
    for storage, values, size in (
        ("fp32", [1.5, 2, 3], 16),
        ("fp16", [1.5, 2, 3], 12),
        ("int8", [-127, 0, 127], 8),
    ):
        arrays = [{"weight": Array(np.array(values, np.int8 if storage == "int8" else np.float32), storage)}]
        data = write_weights(arrays)
        assert len(data) == size
        (read,) = read_weights(graph, data)
        assert read["weight"].storage == storage
        assert read["weight"].values.tolist() == values


def test_fp16_is_used_only_where_it_holds_the_values() -> None:
    small, large = (Array(np.array([value], np.float32), "fp32") for value in (1.0, 1e6))
    halved = in_half_precision([{"small": small, "large": large, "bias": small._replace(storage="raw")}])
    assert {name: array.storage for name, array in halved[0].items()} == {
        "small": "fp16",
        "large": "fp32",
        "bias": "raw",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "ends within layer c"),
        (lambda data: data[:2], "ends before layer c"),
        (lambda data: data + b"1234", "account for 36"),
        (lambda data: b"\x01\x02\x03\x04" + data[4:], "tag 0x04030201"),
    ],
)
def test_a_bin_that_does_not_fit_is_named(change: object, said: str) -> None:
    data = write_weights(ARRAYS)
    with pytest.raises(BuildError, match=said) as failure:
        read_weights(GRAPH, change(data))  # type: ignore[operator]
    assert failure.value.code == "ncnn.bin"
