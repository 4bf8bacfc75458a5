"""The runtimes and builders at hand, and the variants of a model that they make and run.

`./scripts/runtimes` makes the environments: `.runtimes` and, beside it, `.runtimes-NAME`. EDGEDYNO_RUNTIMES names
another `.runtimes`, or several, joined as in PATH.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.supervisor import Launch
from edgedyno.agent.survey import find_modules
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.variants import build_variants
from edgedyno.core.job import JobSpec, Precision
from edgedyno.core.run import Environment
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.manifest import ResolvedJob, Variant
    from edgedyno.core.profile import DatasetProfile, ModelProfile

# What needs a board, a vendor's processor or a build of ONNX Runtime that no package of this machine is.
ELSEWHERE = frozenset(
    [
        "rknn",
        "tensorrt",
        *(f"onnxruntime-{name}" for name in ("acl", "cann", "cuda", "tensorrt", "xnnpack")),
    ]
)
# What runs here, but is no runtime to deploy with.
SIMULATED = ["rknn-simulator"]
RUNTIMES = [plugin.name for plugin in find_plugins() if plugin.name not in {*ELSEWHERE, *SIMULATED}]
# The modules whose presence makes an interpreter a builder of a format.
_TOOLS = {
    "ncnn": ("ncnn", "pnnx"),
    "openvino": ("openvino", "nncf"),
    "mnn": ("MNN",),
    "tflite": ("litert_torch", "onnx2torch"),
    "rknn": ("rknn", "onnxoptimizer"),
}


@cache
def environments() -> list[Environment]:
    """Return this interpreter and those beside the folders that EDGEDYNO_RUNTIMES names."""
    named = os.environ.get("EDGEDYNO_RUNTIMES", str(ROOT / ".runtimes")).split(os.pathsep)
    found = {"default": sys.executable}
    for folder in map(Path, named):
        for place in (folder, *sorted(folder.parent.glob(f"{folder.name}-*"))):
            if (place / "bin/python").exists():
                found[place.name.lstrip(".")] = str(place / "bin/python")
    return [Environment(name, python) for name, python in found.items()]


@cache
def runtime(name: str) -> RuntimeInfo:
    """Return a runtime that has to be here, from the first environment where it works."""
    reasons = []
    for environment in environments():
        for info in probe_all([msgspec.structs.replace(environment, runtimes=[name])]):
            if info.name == name and info.available:
                return info
            if info.name == name:
                reasons.append(info.reason)
    pytest.fail(f"{name} is not here; ./scripts/runtimes makes the environments: {reasons}")


@cache
def tools() -> dict[str, str]:
    """Return for each format an interpreter that has its tool."""
    wanted = sorted({module for modules in _TOOLS.values() for module in modules})
    missing = {each.python: find_modules(each.python, wanted).missing for each in environments()}
    return {
        name: python
        for name, modules in _TOOLS.items()
        for python, lacks in missing.items()
        if lacks.keys().isdisjoint(modules)
    }


class Built(NamedTuple):
    """A variant, the runtime that runs it, and how to start that."""

    variant: Variant
    cell: Cell
    launch: Launch


class Workshop:
    """Models resolved and built into one store; what was built before is taken from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = ContentStore(folder / "store")
        self._resolved: dict[str, ResolvedJob] = {}

    def resolved(self, model: str | ModelProfile, dataset: DatasetProfile | None = None) -> ResolvedJob:
        """Return the model as a job has it, with `dataset` or, for a detector, the sample images."""
        name = model if isinstance(model, str) else model.name
        if name not in self._resolved:
            spec = JobSpec(name="conformance", model=model, dataset=dataset)
            if dataset is None and (isinstance(model, str) or model.task == "detect"):
                spec = msgspec.structs.replace(spec, dataset="coco_ccby")
            self._resolved[name] = resolve_job(spec, base=ROOT, store=self.store)
        return self._resolved[name]

    def build(self, model: str | ModelProfile, name: str, precision: Precision) -> Built:
        """Return the variant in the first of the runtime's formats that can be built here."""
        info = runtime(name)
        reasons = []
        for variant in self._candidates(model, info, precision):
            if variant.file is not None:
                return Built(variant, self.cell(variant, info), self.launch(variant))
            reasons.append(f"{variant.format}: {variant.failure and variant.failure.text}")
        pytest.fail(f"no {precision} variant for {name}: {'; '.join(reasons)}")

    def _candidates(
        self, model: str | ModelProfile, info: RuntimeInfo, precision: Precision
    ) -> Iterator[Variant]:
        for kind in info.formats:
            yield from build_variants(
                self.resolved(model),
                store=self.store,
                precisions=[precision],
                reduce_range=True,
                formats=[kind],
                tools=tools(),
            )

    def cell(self, variant: Variant, info: RuntimeInfo) -> Cell:
        return Cell(
            trial=f"{info.name}-{variant.precision}",
            variant=variant,
            runtime=info.name,
            runtime_version=info.version,
            environment=info.environment,
            threads=1,
            cores="all",
            cpus=sorted(os.sched_getaffinity(0)),
            batch=1,
            scenario="single-stream",
        )

    def launch(self, *variants: Variant, files: dict[str, str] | None = None) -> Launch:
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        paths = {each.file.sha256: str(self.store.path(each.file.sha256)) for each in variants if each.file}
        return Launch(
            pythons={each.name: each.python for each in environments()},
            plugins={plugin.name: plugin for plugin in find_plugins()},
            files={**paths, **(files or {})},
            scratch=str(scratch),
            memory_bytes=None,
        )
