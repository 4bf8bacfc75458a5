"""What an .rknn file says of itself, and the bundle that a variant of the format `rknn` may be.

The file ends with a JSON text (seen in files of rknn-toolkit2 2.5.0): its tensors with types and shapes, the
processors it is for, the version that made it. A bundle (docs/adr/0007) is a zip of `model.rknn` and, for the
simulator, of what the toolkit builds the same model from again, because it simulates only what it has built:
`simulator.json` with `target_platform` and `precision`, and the ONNX file `simulator.onnx` or, where it is
quantized, the three files that `hybrid_quantization_step1` leaves.
"""

import json
import os
import zipfile
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from edgedyno.agent.runtimes.base import InferenceError, TensorSpec
from edgedyno.agent.runtimes.bundle import unpack

MODEL = "model.rknn"
BUILD = "simulator.json"
QUANTIZED = ("simulator.model", "simulator.data", "simulator.cfg")
FLOAT = "simulator.onnx"
_MAGIC = b"RKNN"
_TAIL_BYTES = 1 << 20
# Nothing stands there where nothing is quantized: the NPU then computes in FP16.
_PRECISIONS = {
    "int8": "int8",
    "uint8": "int8",
    "int16": "int16",
    "float16": "fp16",
    "": "fp16",
    "float32": "fp32",
}


class Described(NamedTuple):
    """What the file says."""

    inputs: List[TensorSpec]
    """As they are fed: float32, which the runtime makes what the NPU wants."""
    precision: str
    """Of the inputs inside the NPU."""
    targets: List[str]
    toolkit: str


def unpack_model(path: str, scratch: str) -> str:
    """Return the path of the .rknn file: `path` itself, or taken out of the bundle."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) == _MAGIC:
            return path
    return unpack(path, scratch, [MODEL])[0]


class Simulation(NamedTuple):
    """What the toolkit builds the model from again."""

    target: str
    quantized: Optional[Tuple[str, ...]]
    """Paths of the files in the order of QUANTIZED."""
    onnx: Optional[str]


def unpack_simulation(path: str, scratch: str) -> Simulation:
    """Take the simulator's files out of the bundle; raises InferenceError where it has none."""
    members = set(zipfile.ZipFile(path).namelist()) if zipfile.is_zipfile(path) else set()
    if BUILD not in members or not (FLOAT in members or set(QUANTIZED) <= members):
        raise InferenceError(
            "model.simulation",
            "found %s: rknn-toolkit2 cannot simulate a finished .rknn file, only what it has built itself; "
            "expected a bundle with %s and either %s or %s, as edgedyno builds it"
            % (", ".join(sorted(members)) or "no bundle", BUILD, ", ".join(QUANTIZED), FLOAT),
        )
    (build,) = unpack(path, scratch, [BUILD])
    with open(build, encoding="utf-8") as file:
        target = str(json.load(file)["target_platform"])
    if set(QUANTIZED) <= members:
        return Simulation(target, tuple(unpack(path, scratch, QUANTIZED)), None)
    return Simulation(target, None, unpack(path, scratch, [FLOAT])[0])


def describe_file(path: str) -> Described:
    """Read what the .rknn file says of itself; raises InferenceError (model.invalid) where it says nothing."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(len(_MAGIC))
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read()
    start = tail.rfind(b'{"connection"')
    if head != _MAGIC or start < 0:
        raise InferenceError("model.invalid", "found no .rknn file, or one that says nothing of its tensors")
    try:
        text, _ = json.JSONDecoder().raw_decode(tail[start:].decode("utf-8", "replace"))
        tensors = {each["tensor_id"]: each for each in text["norm_tensor"]}
        inputs = [tensors[each["right_tensor_id"]] for each in text["graph"] if each["left"] == "input"]
        kinds = {_kind(each) for each in inputs}
        return Described(
            [TensorSpec(each["url"], "float32", tuple(each["size"])) for each in inputs],
            kinds.pop() if len(kinds) == 1 else "mixed",
            [str(name) for name in text["target_platform"]],
            str(text["version"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InferenceError(
            "model.invalid", "the .rknn file does not tell its inputs: %r" % error
        ) from error


def _kind(tensor: Dict[str, Any]) -> str:
    name = str(tensor["dtype"]["vx_type"])
    return _PRECISIONS.get(name, name)


def tell_file(found: Described) -> str:
    """Write what is known of a file's precision, and from where."""
    return "by the file: built by rknn-toolkit2 %s for %s" % (found.toolkit, ", ".join(found.targets))


def data_formats(inputs: List[TensorSpec]) -> List[Optional[str]]:
    """Return the layout of each input as the toolkits are told: images are NCHW, whatever the NPU prefers."""
    return ["nchw" if len(each.shape) == 4 else None for each in inputs]  # noqa: PLR2004 - an image's dimensions
