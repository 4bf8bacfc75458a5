"""What every builder shares: its request, its answer, its failures, and files of several members.

A builder is a module here with `build(request: Request) -> dict[str, Any]`: it writes `request.target` and
returns how it was made (`method`, and what its author would want to know). It may import the standard library,
numpy, this module and its tool, and the tool only inside functions.
"""

import importlib
import json
import os
import sys
import traceback
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

NO_CALIBRATION = (
    "static INT8 needs calibration images, and the data set names none: write it out as a profile with "
    "`calibration:`, a folder of 32 or more other images"
)


class Request(NamedTuple):
    """One variant to build."""

    precision: str
    """fp32, fp16 or int8."""
    source: str
    """Path of the FP32 ONNX file."""
    target: str
    """Path of the file to write; a format of several files is a bundle."""
    scratch: str
    """An empty folder, removed afterwards."""
    input_name: str
    input_shape: list[int]
    """With a batch of 1."""
    calibration: list[str]
    """Paths of .npy files: float32 of `input_shape`, prepared as the accuracy pass prepares images."""
    excluded: list[str]
    """Outputs of the ONNX nodes that the model's profile keeps in float."""
    options: dict[str, Any]
    """The profile's `quantize`, and what the builder alone knows (such as `reduce_range`, `target_platform`)."""


class BuildError(Exception):
    """Why a variant cannot be built: a stable code (`variant.…`) and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def serve(module: str, request_path: str) -> int:
    """Build what the request asks for and write the answer beside it, whatever happens."""
    page = json.loads(Path(request_path).read_text("utf-8"))
    answer_path = page.pop("answer")
    answer = _build(module, Request(**page))
    Path(answer_path).write_text(json.dumps(answer), "utf-8")
    return 0


def _build(module: str, request: Request) -> dict[str, Any]:
    try:
        return {"details": importlib.import_module(module).build(request)}
    except BuildError as error:
        return _failure(error.code, str(error))
    except ImportError as error:
        return _failure("builder.missing", f"{error.name or error} cannot be imported in {sys.executable}")
    except Exception as error:  # noqa: BLE001 - a foreign tool raises anything; it is the answer
        traceback.print_exc(file=sys.stderr)
        text = " ".join(str(error).split()) or "no message"
        return _failure("variant.failed", f"{type(error).__name__}: {text[:500]}")


def _failure(code: str, text: str) -> dict[str, Any]:
    return {"failure": {"code": code, "text": text}}


def need_calibration(request: Request) -> list[str]:
    """Return the calibration tensors. Raises BuildError (variant.no-calibration) where there are none."""
    if not request.calibration:
        raise BuildError(
            "variant.no-calibration",
            NO_CALIBRATION,
        )
    return request.calibration


def write_bundle(target: str, members: dict[str, str]) -> None:
    """Put the files `{name: path}` into one zip, uncompressed; equal files give equal bundles."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o600 << 16
            bundle.writestr(entry, Path(members[name]).read_bytes())


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of these packages; one that is missing is left out."""
    from importlib import metadata

    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hush() -> None:
    """Send what a tool prints to standard output to standard error, down to its C code."""
    sys.stdout.flush()
    os.dup2(2, 1)
