"""The formats that variants can have: which tools make each, what decides a build, what to do without a tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.job import Sweep
    from edgedyno.core.manifest import Variant

ONNX = "onnx"


class Foreign(Struct, frozen=True):
    """A format whose tool lives in an interpreter of its own."""

    environment: str
    """What `edgedyno agent runtimes add` calls the environment that has the tool."""
    packages: tuple[str, ...]
    """Those whose versions decide what comes out."""
    heeds_reduce_range: bool = False
    """Whether INT8 weights of 7 bits are a choice of its tool."""


FOREIGN = {
    "ncnn": Foreign("ncnn-builder", ("ncnn", "pnnx", "onnx", "numpy")),
    "openvino": Foreign("openvino-builder", ("openvino", "nncf", "onnx", "numpy"), heeds_reduce_range=True),
    "tflite": Foreign(
        "tflite-builder",
        ("torch", "onnx", "onnx2torch", "litert-torch", "ai-edge-quantizer", "ai-edge-litert", "numpy"),
    ),
    "mnn": Foreign("mnn-builder", ("mnn", "numpy")),
    "rknn": Foreign("rknn", ("rknn-toolkit2", "onnx", "onnxoptimizer", "onnxruntime", "torch", "numpy")),
}
FORMATS = (ONNX, *FOREIGN)


def check_format(name: str, *, where: str) -> None:
    """Raise ConfigError (format.unknown) for a format that nothing here builds."""
    if name not in FORMATS:
        raise ConfigError(
            f"{where}: found {name!r}, expected some of {', '.join(FORMATS)}{nearest(name, FORMATS)}",
            code="format.unknown",
        )


def what_to_do(name: str) -> str:
    """Say how to get the tool that builds a format."""
    environment = FOREIGN[name].environment
    return (
        f"no interpreter with the tools for {name} is named: `edgedyno agent runtimes add {environment}` makes "
        f"one on this machine (for the controller, name it under `builders:`), or bring the file yourself "
        "(`variants:` of the model's profile)"
    )


def wanted_formats(
    sweep: Sweep,
    runtimes: Iterable[RuntimeInfo],
    buildable: Collection[str],
    prebuilt: Iterable[Variant],
) -> list[str]:
    """Return the formats that a job needs variants in, on boards with these runtimes.

    What the sweep names is taken as it is; else each available runtime of the sweep gets the first of its
    formats that can be had: built (ONNX always can) or brought by the user. A runtime that the sweep names and
    nothing builds for gets its own format all the same, and its trials say what to do. ONNX where no runtime is
    known yet.
    """
    if sweep.formats:
        return list(dict.fromkeys(sweep.formats))
    obtainable = {ONNX, *buildable, *(variant.format for variant in prebuilt)}
    named = {name.partition("@")[0] for name in sweep.runtimes or ()}
    asked = [info for info in runtimes if info.available and (not named or info.name in named)]
    first = [_first(info, obtainable, is_named=bool(named)) for info in asked]
    return list(dict.fromkeys(name for name in first if name is not None)) or [ONNX]


def _first(info: RuntimeInfo, obtainable: Collection[str], *, is_named: bool) -> str | None:
    found = next((name for name in info.formats if name in obtainable), None)
    own = next((name for name in info.formats if name in FORMATS), None)
    return found or (own if is_named else None)


def unserved(
    sweep: Sweep, runtimes: Iterable[RuntimeInfo], formats: Collection[str]
) -> list[tuple[RuntimeInfo, str]]:
    """Return each available runtime that none of `formats` is for, with its own format that can be built.

    Nothing where the sweep names runtimes or formats: then trials say it.
    """
    if sweep.runtimes or sweep.formats:
        return []
    left = [info for info in runtimes if info.available and not set(info.formats) & set(formats)]
    return [(info, form) for info in left for form in info.formats[:1] if form in FOREIGN]
