"""What is told of model files: real ones of every format, and ones that are not what their names say."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedyno.agent.runtimes import tiny as probe_models
from edgedyno.controller.lab.inspection import Inspection, identify, inspect_file
from edgedyno.core.errors import ConfigError
from tests.controller.lab import tiny

if TYPE_CHECKING:
    from pathlib import Path

NCNN = """7767517
3 3
Input            data   0 1 data 0=16 1=16 2=3
Convolution      conv   1 1 data mixed 0=3 1=3 4=1 6=81 8=2
ReLU             relu   1 1 mixed out
"""
IR = """<?xml version="1.0"?>
<net name="tiny" version="11"><layers>
<layer id="0" name="image" type="Parameter" version="opset1"><data shape="1,16,16,3" element_type="f32"/>
<output><port id="0" precision="FP32"><dim>1</dim><dim>16</dim><dim>16</dim><dim>3</dim></port></output></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f16" shape="3,3" offset="0" size="18"/>
<output><port id="0" precision="FP16"><dim>3</dim><dim>3</dim></port></output></layer>
<layer id="2" name="product" type="MatMul" version="opset1"/>
<layer id="3" name="out" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>1</dim></port>
</input></layer></layers></net>
"""
# As MNN 3.6.1's converter writes it: a flatbuffer without an identifier.
MNN_HEAD = bytes.fromhex(
    "20000000 1c002400 08000000 0c001000 14000500 06001800 1c000000 00002000"
    "1c000000 00000300 e0700f00 c8700f00 ec260000 d8260000 38000000 00000000"
)


def _codes(found: Inspection) -> set[str]:
    return {trip.code for trip in found.trips}


def _write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_an_onnx_file(tmp_path: Path) -> None:
    found = inspect_file(tiny.write_model(tmp_path / "tiny.onnx", opset=11))
    assert (found.format, found.operators, found.precision, found.quantization) == ("onnx", 4, "fp32", "none")
    (image,) = found.inputs
    assert (image.name, image.dtype, image.shape, image.layout) == (
        "image",
        "float32",
        [1, 3, 16, 16],
        "NCHW",
    )
    assert found.outputs[0].shape == [1, 3]
    assert found.weights == {"float32": 81}
    assert found.version is not None
    assert "opset ai.onnx 11" in found.version
    assert _codes(found) == {"model.opset-old"}


def _qdq(path: Path, *, opset: int, channels: int) -> Path:
    """Write a convolution whose weights are dequantized, per channel where there are several scales."""
    scales = np.full(channels, 0.1, np.float32) if channels > 1 else np.float32(0.1)
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
            helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"]),
            helper.make_node("Conv", ["xd", "wd"], ["y"]),
        ],
        "qdq",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, None, None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.float32(0.1), "s"),
            numpy_helper.from_array(np.uint8(0), "z"),
            numpy_helper.from_array(np.ones((3, 3, 1, 1), np.int8), "w"),
            numpy_helper.from_array(scales, "ws"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def test_per_channel_qdq_below_opset_13_and_open_sides_trip(tmp_path: Path) -> None:
    found = inspect_file(_qdq(tmp_path / "old.onnx", opset=11, channels=3))
    assert found.quantization == "static, QDQ: 1 of 1 convolutions and matrix products, 1 activations"
    assert found.inputs[0].shape == [None, 3, None, None]
    assert {"model.opset-per-channel", "input.dynamic"} <= _codes(found)
    assert "model.opset-per-channel" not in _codes(
        inspect_file(_qdq(tmp_path / "new.onnx", opset=13, channels=3))
    )
    assert "model.opset-per-channel" not in _codes(
        inspect_file(_qdq(tmp_path / "one.onnx", opset=11, channels=1))
    )


def test_weights_elsewhere_and_foreign_operators_are_errors(tmp_path: Path) -> None:
    model = tiny.model()
    model.graph.node[1].domain = "com.example"
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    found = inspect_file(path)
    assert {trip.code for trip in found.trips if trip.severity == "error"} == {
        "model.external-data",
        "operator.custom",
    }
    assert found.files == ["m.onnx", "m.data"]
    assert "missing" not in next(trip.text for trip in found.trips if trip.code == "model.external-data")
    (tmp_path / "m.data").unlink()
    assert "m.data, which is missing" in next(
        trip.text for trip in inspect_file(path).trips if trip.code == "model.external-data"
    )


def test_a_tflite_file_is_read_without_its_runtime(tmp_path: Path) -> None:
    found = inspect_file(_write(tmp_path / "tiny.tflite", probe_models.TFLITE))
    assert (found.format, found.version) == ("tflite", "schema 3")
    assert found.inputs[0].dtype == "float32"
    assert found.inputs[0].shape == [1, 2]
    assert found.operators == 1
    assert list(found.operator_types) == ["FULLY_CONNECTED"]


@pytest.mark.parametrize("kept", [9, 40, 120, 200])
def test_a_tflite_file_that_was_cut_short_is_an_error(tmp_path: Path, kept: int) -> None:
    data = probe_models.TFLITE
    assert kept < len(data)
    path = _write(tmp_path / "cut.tflite", data[:kept])
    with pytest.raises(ConfigError) as caught:
        inspect_file(path)
    assert caught.value.code == "model.damaged"


def test_an_ncnn_pair(tmp_path: Path) -> None:
    _write(tmp_path / "m.bin", (0x000D4B38).to_bytes(4, "little") + bytes(81))
    found = inspect_file(_write(tmp_path / "m.param", NCNN))
    assert (found.format, found.operators, found.precision) == ("ncnn", 3, "int8")
    assert found.files == ["m.param", "m.bin"]
    assert found.inputs[0].shape == [1, 3, 16, 16]
    assert [tensor.name for tensor in found.outputs] == ["out"]
    assert found.quantization == "static INT8: 1 of 1 convolutions and products, 0 requantize"
    assert found.trips == []


def test_an_unregistered_layer_and_a_missing_bin_are_errors(tmp_path: Path) -> None:
    found = inspect_file(_write(tmp_path / "m.param", NCNN.replace("ReLU ", "ReLuu")))
    texts = {trip.code: trip.text for trip in found.trips if trip.severity == "error"}
    assert set(texts) == {"operator.custom", "model.missing-part"}
    assert "'ReLuu'; did you mean 'ReLU'" in texts["operator.custom"]
    assert "m.bin" in texts["model.missing-part"]


@pytest.mark.parametrize(
    "text",
    ["7767517\n", "7767517\n5 5\nInput a 0 1 a\n", "7767517\n1 1\nInput a 0 2 a\n", "7767517\n1 1\nInput\n"],
)
def test_a_damaged_param_names_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"m\.param") as caught:
        inspect_file(_write(tmp_path / "m.param", text))
    assert caught.value.code == "model.damaged"


def test_an_openvino_pair(tmp_path: Path) -> None:
    _write(tmp_path / "m.bin", bytes(18))
    found = inspect_file(_write(tmp_path / "m.xml", IR))
    assert (found.format, found.version, found.precision) == ("openvino", "IR 11", "fp16")
    assert found.inputs[0].shape == [1, 16, 16, 3]
    assert found.inputs[0].layout == "NHWC"
    assert found.weights == {"float16": 9}
    assert found.trips == []
    _write(tmp_path / "m.bin", bytes(17))
    assert _codes(inspect_file(tmp_path / "m.xml")) == {"model.damaged"}
    (tmp_path / "m.bin").unlink()
    assert _codes(inspect_file(tmp_path / "m.xml")) == {"model.missing-part"}
    _write(tmp_path / "old.xml", IR.replace('version="11"', 'version="6"'))
    assert "model.opset-old" in _codes(inspect_file(tmp_path / "old.xml"))


@pytest.mark.parametrize("text", ["<net", "<a/>", '<!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>'])
def test_xml_that_is_no_graph_is_an_error(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path / "m.xml", text)
    if identify(path).format == "openvino":
        with pytest.raises(ConfigError) as caught:
            inspect_file(path)
        assert caught.value.code == "model.damaged"
    else:
        assert "model.format" in _codes(inspect_file(path))


@pytest.mark.parametrize("members", [("model.param", "model.bin"), ("model.xml", "model.bin")])
def test_bundles_are_read_as_their_pairs(tmp_path: Path, members: tuple[str, str]) -> None:
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(members[0], NCNN if members[0].endswith("param") else IR)
        bundle.writestr(members[1], bytes(18))
    found = inspect_file(path)
    assert found.format == {"model.param": "ncnn", "model.xml": "openvino"}[members[0]]
    assert found.files == ["bundle.zip"]
    assert found.trips == []


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("m.rknn", b"RKNN\x00\x00\x00\x00", "rknn"),
        ("m.engine", b"ftrt\x00\x00\x00\x00", "tensorrt"),
        ("m.pt", b"\x80\x02}q\x00.", "pytorch"),
        ("m.mnn", MNN_HEAD, "mnn"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "keras"),
        ("m.param.bin", (7767517).to_bytes(4, "little"), "ncnn-binary"),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1\n", "lfs"),
        ("m.onnx", b"<!DOCTYPE html><html>", "html"),
        ("m.onnx", b"", "empty"),
        ("m.onnx", b"\xff" * 64, "unknown"),
    ],
)
def test_formats_are_told_by_content(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    path = _write(tmp_path / name, content)
    assert identify(path).format == kind
    found = inspect_file(path)
    assert found.format == kind
    if kind not in ("rknn", "mnn"):
        assert "model.format" in _codes(found)


def test_weights_alone_are_told_where_their_graph_is(tmp_path: Path) -> None:
    _write(tmp_path / "m.param", NCNN)
    (trip,) = inspect_file(_write(tmp_path / "m.bin", bytes(64))).trips
    assert "m.param" in trip.text


def test_a_name_that_lies_trips(tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "tiny.tflite")
    found = inspect_file(path)
    assert found.format == "onnx"
    trip = next(trip for trip in found.trips if trip.code == "model.name")
    assert "a TFLite model" in trip.text
    assert "an ONNX model" in trip.text


def test_an_onnx_file_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "tiny.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError) as caught:
        inspect_file(path)
    assert caught.value.code == "model.damaged"


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("name", "precision", "quantization", "trips"),
    [
        ("yolov8n/yolov8n_640_full_integer.tflite", "int8", "full integer, integer input",
         {"input.integer", "output.integer"}),
        ("yolov8n/yolov8n_640_int8w_floatio.tflite", "int8", "dynamic range: 62 of 64 have 8-bit weights", set()),
        ("yolox_nano/yolox_nano_416_int8_floatio.tflite", "fp32", "none", set()),
        ("yolox_nano/yolox_nano_416_fp16.tflite", "fp16", "stored in float16, computed in float32", {"weights.fp16"}),
        ("yolox_nano/ncnn/yolox-nano.param", "fp16", "none", {"operator.custom", "input.dynamic"}),
        ("squeezenet_v1.1/ncnn/squeezenet_v1.1.param", "fp16", "none", set()),
        ("yolov8n/yolov8n_640_from_int8w.onnx", "int8", "weights alone", set()),
    ],
)  # fmt: skip
def test_files_from_elsewhere(
    zoo: Path, name: str, precision: str, quantization: str, trips: set[str]
) -> None:
    found = inspect_file(zoo / "models" / name)
    assert found.precision == precision
    assert found.quantization is not None
    assert found.quantization.startswith(quantization)
    assert _codes(found) == trips
