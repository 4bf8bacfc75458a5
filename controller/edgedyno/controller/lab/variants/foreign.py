"""One variant built by a tool in an interpreter of its own: its request, its process, its answer.

The tool's side is `tools/`: run by path, so that the foreign interpreter sees nothing else of ours.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.variants.children import run_child
from edgedyno.controller.lab.variants.formats import FOREIGN
from edgedyno.controller.lab.variants.request import BuildAnswer
from edgedyno.core.manifest import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.job import Precision
    from edgedyno.core.profile import ModelProfile

TOOLS = Path(__file__).parent / "tools"


def builder_sha256(name: str) -> str:
    """Return the hash of our own code that builds a format: a change of it is another recipe."""
    hasher = hashlib.sha256()
    others = FOREIGN.keys() - {name}
    for path in sorted(TOOLS.glob("*.py")):
        if path.stem.partition("_")[0] not in others:
            hasher.update(path.name.encode() + b"\n" + path.read_bytes())
    return hasher.hexdigest()


def build_foreign(
    python: str,
    name: str,
    precision: Precision,
    *,
    model: ModelProfile,
    source: Path,
    target: Path,
    calibration: Sequence[str],
    reduce_range: bool,
    timeout_seconds: float,
) -> BuildAnswer:
    """Have the builder of format `name` in the interpreter `python` write `target`; its death is an answer too."""
    folder = target.parent
    # A copy: tools write beside what they read, and tell formats by suffixes.
    own_source = folder / f"{model.name}.onnx"
    shutil.copyfile(source, own_source)
    scratch = folder / "scratch"
    scratch.mkdir()
    answer = folder / "answer.json"
    page = folder / "request.json"
    request = {
        "precision": precision,
        "source": str(own_source),
        "target": str(target),
        "scratch": str(scratch),
        "calibration": list(calibration),
        "options": _options(name, model, reduce_range=reduce_range),
        "answer": str(answer),
        **_graph_words(own_source, model),
    }
    page.write_text(json.dumps(request), "utf-8")
    command = [python, str(TOOLS / "bootstrap.py"), name, str(page)]
    failure = run_child(command, folder=folder, timeout_seconds=timeout_seconds, foreign=True)
    if failure is not None:
        return BuildAnswer(failure=failure)
    return _read(answer, target)


def _options(name: str, model: ModelProfile, *, reduce_range: bool) -> dict[str, Any]:
    options = {
        field: msgspec.to_builtins(getattr(model.quantize, field))
        for field in model.quantize.__struct_fields__
    }
    if FOREIGN[name].heeds_reduce_range:
        options["reduce_range"] = reduce_range
    return options


def _graph_words(source: Path, model: ModelProfile) -> dict[str, Any]:
    """Return what a builder is told of the graph, which foreign interpreters may have no ONNX to read."""
    import onnx  # the service looks at formats too, and needs none of this

    from edgedyno.controller.lab.source import check_exclude, input_name

    graph = onnx.load(source)
    height, width = model.input.size
    shape = [1, 3, height, width] if model.input.layout == "NCHW" else [1, height, width, 3]
    return {
        "input_name": input_name(graph),
        "input_shape": shape,
        "excluded": check_exclude(graph, model.quantize.exclude),
    }


def _read(answer: Path, target: Path) -> BuildAnswer:
    try:
        found = msgspec.json.decode(answer.read_bytes(), type=BuildAnswer)
    except FileNotFoundError:
        text = "the build ended with status 0: it said nothing"
        return BuildAnswer(failure=Failure("variant.crashed", text))
    except msgspec.MsgspecError as error:
        return BuildAnswer(failure=Failure("variant.failed", f"the builder's answer cannot be read: {error}"))
    if found.failure is None and not (target.is_file() and target.stat().st_size):
        text = "the builder says that it built the variant, and there is no file"
        return BuildAnswer(failure=Failure("variant.failed", text))
    return found
