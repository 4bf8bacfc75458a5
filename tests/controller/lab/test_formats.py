"""Which formats a job is built in."""

from __future__ import annotations

import pytest

from edgedyno.controller.lab.variants import FOREIGN, FORMATS, unserved, wanted_formats, what_to_do
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.job import Sweep
from edgedyno.core.manifest import ArtifactRef, Variant

ORT = RuntimeInfo("onnxruntime", "1.31.1", available=True, formats=["onnx"])
OPENVINO = RuntimeInfo("openvino", "2026.4", available=True, formats=["openvino", "onnx"])
NCNN = RuntimeInfo("ncnn", "1.0", available=True, formats=["ncnn"])
GONE = RuntimeInfo("mnn", None, available=False, reason="not installed", formats=["mnn"])
LITERT = RuntimeInfo("litert", "2.3", available=True, formats=["tflite"])
BROUGHT = Variant("int8", "tflite", ArtifactRef("0" * 64, 1))


@pytest.mark.parametrize(
    ("sweep", "runtimes", "buildable", "prebuilt", "wanted"),
    [
        (Sweep(), [ORT], [], [], ["onnx"]),
        (Sweep(), [OPENVINO], [], [], ["onnx"]),
        (Sweep(), [OPENVINO], ["openvino"], [], ["openvino"]),
        (Sweep(), [ORT, OPENVINO, NCNN], ["openvino", "ncnn"], [], ["onnx", "openvino", "ncnn"]),
        (Sweep(), [NCNN, ORT], [], [], ["onnx"]),
        (Sweep(), [ORT, GONE], ["mnn"], [], ["onnx"]),
        (Sweep(), [ORT, LITERT], [], [BROUGHT], ["onnx", "tflite"]),
        (Sweep(runtimes=["litert"]), [ORT, LITERT], ["tflite"], [], ["tflite"]),
        (Sweep(runtimes=["ncnn"]), [ORT, NCNN], [], [], ["ncnn"]),
        (Sweep(runtimes=["ncnn@1.0"]), [ORT, NCNN], ["ncnn"], [], ["ncnn"]),
        (Sweep(formats=["ncnn", "onnx", "ncnn"]), [ORT], [], [], ["ncnn", "onnx"]),
        (Sweep(), [], ["ncnn"], [], ["onnx"]),
    ],
)
def test_each_runtime_gets_the_first_format_that_can_be_had(
    sweep: Sweep,
    runtimes: list[RuntimeInfo],
    buildable: list[str],
    prebuilt: list[Variant],
    wanted: list[str],
) -> None:
    assert wanted_formats(sweep, runtimes, buildable, prebuilt) == wanted


def test_runtimes_that_nothing_is_built_for_are_told() -> None:
    assert unserved(Sweep(), [ORT, OPENVINO, NCNN, GONE], ["onnx"]) == [(NCNN, "ncnn")]
    assert unserved(Sweep(), [ORT, NCNN], ["onnx", "ncnn"]) == []
    assert unserved(Sweep(runtimes=["ncnn"]), [NCNN], ["onnx"]) == []


def test_every_format_but_onnx_says_how_to_get_its_tool() -> None:
    assert set(FORMATS) == {"onnx", *FOREIGN}
    for name in FOREIGN:
        assert f"edgedyno agent runtimes add {FOREIGN[name].environment}" in what_to_do(name)
