"""Runs in a tool's own interpreter: FORMAT FILE TENSOR.npy OUTPUTS.npz."""

import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np


def openvino(path: str, tensor: Any) -> list[Any]:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(path).extractall(folder)
        core = openvino.Core()
        core.set_property({"ENABLE_MMAP": False})
        model = core.read_model(f"{folder}/model.xml", f"{folder}/model.bin")
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return list(compiled([tensor]).values())


def tflite(path: str, tensor: Any) -> list[Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    tensor = tensor.transpose(0, 2, 3, 1)
    if entry["dtype"] == np.int8:
        scale, zero_point = entry["quantization"]
        tensor = np.clip(np.rint(tensor / scale) + zero_point, -128, 127).astype(np.int8)
    interpreter.set_tensor(entry["index"], np.ascontiguousarray(tensor))
    interpreter.invoke()
    found = []
    for result in interpreter.get_output_details():
        array = interpreter.get_tensor(result["index"])
        if result["dtype"] == np.int8:
            scale, zero_point = result["quantization"]
            array = (array.astype(np.float32) - zero_point) * scale
        found.append(array)
    return found


def mnn(path: str, tensor: Any) -> list[Any]:
    """Run it as the agent does: MNN has a way of loading that makes noise of quantized files."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "agent"))
    from edgedyno.agent.runtimes.base import LoadOptions
    from edgedyno.agent.runtimes.mnn import Mnn

    runtime = Mnn()
    runtime.load(LoadOptions(path, 1, 1, tempfile.mkdtemp()))
    read = runtime.bind([tensor])
    runtime.invoke()
    return read()


def rknn(path: str, tensor: Any) -> list[Any]:
    import json

    from rknn.api import RKNN

    os.chdir(tempfile.mkdtemp())
    zipfile.ZipFile(path).extractall()
    settings = json.loads(Path("simulator.json").read_text("utf-8"))
    toolkit = RKNN()
    assert toolkit.config(target_platform=settings["target_platform"]) == 0
    if Path("simulator.cfg").exists():
        built = toolkit.hybrid_quantization_step2("simulator.model", "simulator.data", "simulator.cfg")
    else:
        assert toolkit.load_onnx("simulator.onnx") == 0
        built = toolkit.build(do_quantization=False)
    assert built == 0
    assert toolkit.init_runtime() == 0
    return list(toolkit.inference([tensor], data_format=["nchw"]))


if __name__ == "__main__":
    name, path, tensor, target = sys.argv[1:]
    np.savez(target, *globals()[name](str(Path(path).resolve()), np.load(tensor)))
