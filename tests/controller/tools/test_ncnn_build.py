"""ncnn variants built in the builder's own interpreter, from real models, and run there by stock ncnn."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgedyno.controller.lab.variants import tools
from edgedyno.controller.lab.variants.tools.ncnn_param import read_graph
from edgedyno.core.profile import InputSpec
from edgedyno.core.vision import prepare
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.conftest import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAP = Path(str(tools.__file__)).with_name("bootstrap.py")
FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"
YOLOX = SAMPLES / "models/yolox_nano/yolox_nano_416_fp32.onnx"
SIZES = {FASTESTDET: 352, YOLOX: 416}
RUN = """
import json, runpy, sys
from pathlib import Path
import numpy as np
runpy.run_path(sys.argv[1])["_build_namespace"](str(Path(sys.argv[1]).parent))
from edgedyno.controller.lab.variants.tools.ncnn_run import Network
folder = Path(sys.argv[2])
network = Network(folder / "model.param", folder / "model.bin")
np.save(folder / "out.npy", network.run(np.load(sys.argv[3]))[0])
"""


def ask(folder: Path, source: Path, precision: str, **changed: Any) -> dict[str, Any]:
    """Build as the controller does; the bundle is `folder`/bundle.zip."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    size = SIZES.get(source, 8)
    page = {
        "precision": precision,
        "source": str(source),
        "target": str(folder / "bundle.zip"),
        "scratch": str(scratch),
        "input_name": "images",
        "input_shape": [1, 3, size, size],
        "calibration": [],
        "excluded": [],
        "options": {},
        "answer": str(folder / "answer.json"),
        **changed,
    }
    request = folder / "request.json"
    request.write_text(json.dumps(page))
    subprocess.run(
        [str(foreign.interpreter()), str(BOOTSTRAP), "ncnn", str(request)], check=True, capture_output=True
    )
    return dict(json.loads((folder / "answer.json").read_text()))


def tensors(folder: Path, source: Path, count: int) -> list[str]:
    """Prepare the first of the sample's calibration images."""
    spec = InputSpec(
        size=(SIZES[source],) * 2, colour="BGR", std=(255.0,) * 3 if source == FASTESTDET else (1.0,) * 3
    )
    images = sorted((SAMPLES / "data/coco_cc_calib").rglob("*.jpg"))[:count]
    paths = [folder / f"{place}.npy" for place in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        np.save(path, prepare(image.read_bytes(), spec).tensor)
    return [str(path) for path in paths]


def run(folder: Path, tensor: str) -> NDArray[np.float32]:
    """Run the bundle in the builder's interpreter."""
    with zipfile.ZipFile(folder / "bundle.zip") as bundle:
        bundle.extractall(folder)
    command = [str(foreign.interpreter()), "-c", RUN, str(BOOTSTRAP), str(folder), tensor]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(np.load(folder / "out.npy"))


def expected(source: Path, tensor: str) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: np.load(tensor)})[0])


def decibels(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    one = one.reshape(other.shape).astype(np.float64)
    return float(10 * np.log10(np.square(one).sum() / np.square(one - other).sum()))


@pytest.mark.parametrize("source", [FASTESTDET, YOLOX], ids=["fastestdet", "yolox_nano"])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 80), ("fp16", 45)])
def test_floats_compute_what_the_source_computes(
    tmp_path: Path, source: Path, precision: str, least: float
) -> None:
    answer = ask(tmp_path / "build", source, precision)
    assert "failure" not in answer
    (tensor,) = tensors(tmp_path, source, 1)
    assert decibels(expected(source, tensor), run(tmp_path / "build", tensor)) > least


def test_the_graph_names_its_input_and_the_inputs_size(tmp_path: Path) -> None:
    ask(tmp_path / "build", FASTESTDET, "fp32")
    with zipfile.ZipFile(tmp_path / "build/bundle.zip") as bundle:
        assert bundle.namelist() == ["model.bin", "model.param"]
        graph = read_graph(bundle.read("model.param").decode())
    (layer,) = graph.inputs()
    assert layer.tops == ("in0",)
    assert [layer.integer(key) for key in (0, 1, 2)] == [352, 352, 3]
    assert graph.outputs() == ["out0"]


def test_int8_runs_in_stock_ncnn_and_is_the_same_when_built_again(tmp_path: Path) -> None:
    calibration = tensors(tmp_path, FASTESTDET, 3)
    # The last convolutions, as the profile keeps them in float.
    excluded = ["onnx::Sigmoid_954", "onnx::Concat_744", "onnx::Concat_960"]
    answers = [
        ask(tmp_path / name, FASTESTDET, "int8", calibration=calibration, excluded=excluded)
        for name in ("one", "two")
    ]
    details = answers[0]["details"]
    assert details["calibration_method"] == "kl"
    assert (details["int8_layers"], details["requantized_layers"]) == (68, 40)
    assert len(details["float_layers"]) == 2
    assert details["equalized_layers"] > 60
    hashes = {
        hashlib.sha256((tmp_path / name / "bundle.zip").read_bytes()).hexdigest() for name in ("one", "two")
    }
    assert len(hashes) == 1
    found = run(tmp_path / "one", calibration[0])
    assert decibels(expected(FASTESTDET, calibration[0]), found) > 8
    with zipfile.ZipFile(tmp_path / "one/bundle.zip") as bundle:
        assert bundle.getinfo("model.bin").file_size < 300_000


def test_the_profile_chooses_the_method(tmp_path: Path) -> None:
    answer = ask(
        tmp_path / "build",
        FASTESTDET,
        "int8",
        calibration=tensors(tmp_path, FASTESTDET, 2),
        options={"ncnn_method": "mse"},
    )
    assert answer["details"]["calibration_method"] == "mse"


@pytest.mark.long
def test_auto_takes_the_method_that_comes_nearest(tmp_path: Path) -> None:
    calibration = tensors(tmp_path, FASTESTDET, 2)
    answer = ask(
        tmp_path / "build", FASTESTDET, "int8", calibration=calibration, options={"ncnn_method": "auto"}
    )
    tried = answer["details"]["methods_tried"]
    assert sorted(tried) == ["aciq", "kl", "minmax", "mse"]
    assert answer["details"]["calibration_method"] == min(tried, key=lambda method: tried[method])


@pytest.mark.long
def test_accuracy_control_leaves_in_float_what_costs_too_much(tmp_path: Path) -> None:
    calibration = tensors(tmp_path, FASTESTDET, 2)
    chosen = {"ncnn_method": "minmax"}
    plain = ask(tmp_path / "plain", FASTESTDET, "int8", calibration=calibration, options=chosen)["details"]
    strict = {**chosen, "accuracy_control": 0.008}
    details = ask(tmp_path / "build", FASTESTDET, "int8", calibration=calibration, options=strict)["details"]
    found = details["accuracy_control"]
    assert found["tried"][0]["drop"] > 0.008 >= found["drop"]
    assert 0 < len(details["float_layers"]) < 60
    assert len(details["float_layers"]) + details["int8_layers"] == 70
    assert details["output_sqnr_db"] > plain["output_sqnr_db"]


@pytest.mark.long
def test_a_drop_that_nothing_keeps_to_is_refused_with_the_nearest(tmp_path: Path) -> None:
    answer = ask(
        tmp_path / "build",
        FASTESTDET,
        "int8",
        calibration=tensors(tmp_path, FASTESTDET, 1),
        options={"ncnn_method": "minmax", "accuracy_control": 1e-7},
    )
    code, text = failure(answer)
    assert code == "variant.accuracy"
    assert "69 of 70 layers in float" in text


@pytest.mark.long
def test_swish_does_not_keep_yolox_from_int8(tmp_path: Path) -> None:
    """With one scale for all channels its stem costs all but 6 dB (docs/ncnn-int8.md)."""
    calibration = tensors(tmp_path, YOLOX, 3)
    details = ask(
        tmp_path / "build", YOLOX, "int8", calibration=calibration, options={"ncnn_method": "minmax"}
    )["details"]
    assert details["int8_layers"] == 113
    assert details["divided_layers"] > 100
    assert details["output_sqnr_db"] > 9


def save(folder: Path, *nodes: onnx.NodeProto, shape: tuple[int, ...] = (1, 3, 8, 8)) -> Path:
    """Write a model of these nodes from `x` to `y`, with a kernel `w` of ones."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 1, 1), np.ones(12, np.float32))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def failure(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["failure"]["code"], answer["failure"]["text"]


def test_an_operator_that_ncnn_lacks_is_named(tmp_path: Path) -> None:
    source = save(tmp_path, helper.make_node("Det", ["x"], ["y"]))
    code, text = failure(ask(tmp_path / "build", source, "fp32"))
    assert code == "variant.operator"
    assert "Det" in text


def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.write_bytes(b"no model at all")
    assert failure(ask(tmp_path / "build", source, "fp32"))[0] in {"variant.convert", "variant.operator"}


def test_a_batch_is_refused(tmp_path: Path) -> None:
    answer = ask(tmp_path / "build", FASTESTDET, "fp32", input_shape=[2, 3, 352, 352])
    assert failure(answer)[0] == "variant.inputs"


def test_int8_without_images_is_refused(tmp_path: Path) -> None:
    assert failure(ask(tmp_path / "build", FASTESTDET, "int8"))[0] == "variant.no-calibration"


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    code, text = failure(ask(tmp_path / "build", FASTESTDET, "int8", options={"ncnn_method": "best"}))
    assert code == "variant.option"
    assert "'best'" in text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ranges_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    source = save(tmp_path, helper.make_node("Conv", ["x", "w"], ["y"]))
    path = tmp_path / "bad.npy"
    np.save(path, np.full((1, 3, 8, 8), value, np.float32))
    answer = ask(tmp_path / "build", source, "int8", calibration=[str(path)])
    assert failure(answer)[0] == "variant.not-finite"


def test_a_layer_that_only_sees_zeros_stays_in_float(tmp_path: Path) -> None:
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    source = save(tmp_path, conv)
    path = tmp_path / "zeros.npy"
    np.save(path, np.zeros((1, 3, 8, 8), np.float32))
    answer = ask(tmp_path / "build", source, "int8", calibration=[str(path)])
    assert len(answer["details"]["always_zero"]) == 1
    assert answer["details"]["int8_layers"] == 0


@pytest.mark.zoo
@pytest.mark.long
def test_fastestdet_keeps_its_accuracy(zoo: Path) -> None:
    """Marks of ncnn's own tools, from the same 140 images: 0.193 (KL) and 0.188 (ACIQ) of 0.199."""
    del zoo
    script = [sys.executable, str(ROOT / "benchmarks/ncnn_int8.py"), "--python", str(foreign.interpreter())]
    done = subprocess.run(
        [*script, "--models", "fastestdet", "--recipes", "kl", "aciq"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = {line.split()[1]: float(line.split()[2]) for line in done.stdout.splitlines()[1:]}
    assert found["fp32"] == pytest.approx(0.198, abs=0.002)
    assert found["aciq"] > 0.186
    assert found["kl"] > 0.186


@pytest.mark.zoo
@pytest.mark.long
def test_yolox_nano_keeps_its_accuracy_with_all_layers_in_int8(zoo: Path) -> None:
    """With one scale for all channels it lost a third: 0.240 of 0.333."""
    del zoo
    script = [sys.executable, str(ROOT / "benchmarks/ncnn_int8.py"), "--python", str(foreign.interpreter())]
    chosen = ["--models", "yolox_nano", "--recipes", "minmax"]
    done = subprocess.run([*script, *chosen], check=True, capture_output=True, text=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[-1][:2] == ["yolox_nano", "minmax"]
    assert float(rows[-1][2]) > 0.3
    assert rows[-1][-2:] == ["113", "0"]
