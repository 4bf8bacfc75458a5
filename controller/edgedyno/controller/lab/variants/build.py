"""Build the variants of a job, each in a process of its own, or take them from the recipe book.

They are built one after another: a build uses every core that it finds, and a small controller has two.
"""

from __future__ import annotations

import copy
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edgedyno.controller.lab.variants.calibration import Calibration
from edgedyno.controller.lab.variants.foreign import build_foreign
from edgedyno.controller.lab.variants.formats import ONNX, check_format, what_to_do
from edgedyno.controller.lab.variants.native import build_native
from edgedyno.controller.lab.variants.recipe import RecipeBook, ingredients, onnx_versions, warnings
from edgedyno.controller.lab.variants.request import BuildAnswer, BuildRequest, Labelled
from edgedyno.controller.lab.variants.toolchain import tool_versions
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import Failure, Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.job import Precision
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.profile import ModelProfile, QuantizeSpec

# The slowest build seen took minutes (a search over YOLOX-nano's blocks); large models take longer.
TIMEOUT_SECONDS = 3600.0


class Building(Struct, frozen=True):
    """How far the builds of a job are: told before each variant, and with `done` equal `total` at the end."""

    format: str
    precision: str
    done: int
    total: int


def build_variants(
    resolved: ResolvedJob,
    *,
    store: ContentStore,
    precisions: Sequence[Precision],
    reduce_range: bool,
    formats: Sequence[str] = (ONNX,),
    tools: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    progress: Callable[[Building], None] | None = None,
) -> list[Variant]:
    """Return a variant for each format and precision; one that cannot be built carries its failure.

    `tools` maps a format to the interpreter that has its tool. The user's own files of these formats and
    precisions come with them, and one without a name takes the place of what would be built. It blocks for as
    long as the building takes; what was built before comes from the store at once. Raises ConfigError
    (format.unknown).
    """
    for name in formats:
        check_format(name, where="formats")
    wanted = [(name, precision) for name in dict.fromkeys(formats) for precision in dict.fromkeys(precisions)]
    brought = [each for each in resolved.prebuilt if (each.format, each.precision) in wanted]
    taken = {(each.format, each.precision, each.name) for each in brought}
    recipes = recipes_of(resolved.model)
    todo = [
        (name, precision, recipe)
        for name, precision in wanted
        for recipe in (recipes if precision == "int8" else ("",))
        if (name, precision, recipe) not in taken
    ]
    say = progress or (lambda _: None)
    built: list[Variant] = []
    with tempfile.TemporaryDirectory(prefix="edgedyno-variants-") as folder:
        job = _Job(resolved, store, Path(folder), reduce_range, dict(tools or {}), timeout_seconds)
        for name, precision, recipe in todo:
            say(Building(name, f"{precision} {recipe}".rstrip(), len(built), len(todo)))
            variant = job.by(recipes[recipe]).variant(name, precision)
            built.append(msgspec.structs.replace(variant, name=recipe))
    say(Building("", "", len(todo), len(todo)))
    found = [*_different(built), *brought]
    return sorted(found, key=lambda each: wanted.index((each.format, each.precision)))


def _different(built: Sequence[Variant]) -> list[Variant]:
    """Leave out what came out as an earlier one did: not every format heeds every key of a recipe."""
    first: dict[object, Variant] = {}
    for index, each in enumerate(built):
        first.setdefault((each.format, each.precision, each.file.sha256 if each.file else index), each)
    return list(first.values())


def recipes_of(model: ModelProfile) -> dict[str, QuantizeSpec]:
    """Return every way to INT8 that the profile names; that of `quantize` is the usual one and has no name."""
    usual = model.quantize
    named = {
        name: msgspec.structs.replace(each, exclude=each.exclude or usual.exclude)
        for name, each in model.recipes.items()
    }
    return {"": usual, **named}


class _Job:
    """The variants of one job while they are built; they share the prepared calibration images."""

    def __init__(
        self,
        resolved: ResolvedJob,
        store: ContentStore,
        folder: Path,
        reduce_range: bool,  # noqa: FBT001 - one of a job's settings, passed on whole
        tools: dict[str, str],
        timeout_seconds: float,
    ) -> None:
        self._resolved = resolved
        self._store = store
        self._folder = folder
        self._reduce_range = reduce_range
        self._tools = tools
        self._timeout_seconds = timeout_seconds
        self._book = RecipeBook(store)
        self._calibration = Calibration(
            resolved, store, folder / "calibration", timeout_seconds=timeout_seconds
        )

    def by(self, quantize: QuantizeSpec) -> _Job:
        """Return the same job by another recipe; prepared images are shared."""
        other = copy.copy(self)
        model = msgspec.structs.replace(self._resolved.model, quantize=quantize)
        other._resolved = msgspec.structs.replace(self._resolved, model=model)  # noqa: SLF001 - of its own kind
        return other

    def variant(self, name: str, precision: Precision) -> Variant:
        """Return one variant, kept or new; with what is worth a warning in its recipe."""
        try:
            versions = self._versions(name, precision)
        except EdgedynoError as error:
            return Variant(precision, name, failure=Failure(error.code, str(error)))
        parts = ingredients(self._resolved, name, precision, tools=versions, reduce_range=self._reduce_range)
        if (name, precision) == (ONNX, "fp32"):
            return Variant(precision, name, self._resolved.source, {**parts, "method": "the source itself"})
        variant = self._book.look_up(parts) or self._build(name, precision, parts)
        found = warnings(self._resolved, name, precision, variant.recipe)
        recipe = {**variant.recipe, "warnings": found} if found else variant.recipe
        return msgspec.structs.replace(variant, recipe=recipe)

    def _versions(self, name: str, precision: Precision) -> dict[str, str]:
        if name == ONNX:
            return onnx_versions(precision)
        if name not in self._tools:
            raise EdgedynoError(what_to_do(name), code="builder.missing")
        return tool_versions(name, self._tools[name])

    def _build(self, name: str, precision: Precision, parts: dict[str, Any]) -> Variant:
        suffix = name if name not in ("ncnn", "openvino") else f"{name}.zip"
        with tempfile.TemporaryDirectory(dir=self._folder) as own:
            target = Path(own) / f"{self._resolved.model.name}-{precision}.{suffix}"
            started = time.monotonic()
            answer = self._answer(name, precision, target)
            seconds = round(time.monotonic() - started, 2)
            if answer.failure is not None:
                return Variant(precision, name, recipe=parts, failure=answer.failure)
            recipe = {**answer.details, **parts, "build_seconds": seconds}
            variant = Variant(precision, name, self._store.add_file(target), recipe)
        self._book.note(parts, variant)
        return variant

    def _answer(self, name: str, precision: Precision, target: Path) -> BuildAnswer:
        tensors: list[str] = []
        if precision == "int8" and not self._is_dynamic(name):
            prepared = self._calibration.tensors()
            if prepared.failure is not None:
                return BuildAnswer(failure=prepared.failure)
            tensors = prepared.tensors
        source = self._store.path(self._resolved.source.sha256)
        if name == ONNX:
            request = self._request(precision, source, target, tensors)
            return build_native(request, timeout_seconds=self._timeout_seconds)
        return build_foreign(
            self._tools[name],
            name,
            precision,
            model=self._resolved.model,
            source=source,
            target=target,
            calibration=tensors,
            reduce_range=self._reduce_range,
            timeout_seconds=self._timeout_seconds,
        )

    def _is_dynamic(self, name: str) -> bool:
        quantize = self._resolved.model.quantize
        return name == ONNX and quantize.scheme == "dynamic" and quantize.accuracy_control is None

    def _request(self, precision: Precision, source: Path, target: Path, tensors: list[str]) -> BuildRequest:
        quantize = self._resolved.model.quantize
        searches = precision == "int8" and quantize.accuracy_control is not None
        return BuildRequest(
            precision=precision,
            model=self._resolved.model,
            source=str(source),
            target=str(target),
            answer=str(target.parent / "answer.json"),
            calibration=tensors,
            sample=self._calibration.images[0] if self._calibration.images else None,
            reduce_range=self._reduce_range,
            labelled=self._labelled() if searches else None,
        )

    def _labelled(self) -> Labelled | None:
        resolved, path = self._resolved, self._store.path
        if not resolved.images or resolved.annotations is None:
            return None
        return Labelled(
            [(image.id, str(path(image.file.sha256))) for image in resolved.images],
            str(path(resolved.annotations.sha256)),
            resolved.class_names,
        )
