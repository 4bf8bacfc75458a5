"""The self-tests of a model's built variants here, in ONNX Runtime; a job makes them where it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.selftest.running import OnnxModel, SelfTested
from edgedyno.core.manifest import Variant
from edgedyno.core.vision.selftest import Reading, Reference, Shown, examine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.manifest import ResolvedJob


class VariantTested(Struct, frozen=True):
    """A variant with its self-test."""

    variant: Variant
    test: SelfTested


def selftest_variants(
    resolved: ResolvedJob, variants: Sequence[Variant], store: ContentStore
) -> list[VariantTested]:
    """Show each variant the model's known images, FP32 first: the others are compared with what it sees.

    A variant that ONNX Runtime cannot load or run fails; one of another format, or with another input than
    float32, is left to its own runtime.
    """
    shown = [
        Shown(each.file.name or each.file.sha256[:12], store.read(each.file.sha256), each.expect)
        for each in resolved.known
    ]
    reference: Reference | None = None
    tested = []
    for variant in sorted(variants, key=lambda each: each.precision != "fp32"):
        test, own = _test(resolved, variant, shown, store, reference)
        reference = reference or own
        tested.append(VariantTested(variant, test))
    return tested


def _test(
    resolved: ResolvedJob,
    variant: Variant,
    shown: list[Shown],
    store: ContentStore,
    reference: Reference | None,
) -> tuple[SelfTested, Reference | None]:
    if variant.file is None:
        text = variant.failure.text if variant.failure else "there is no file"
        return SelfTested(passed=False, reason=text), None
    if variant.format != "onnx":
        return _left(f"{variant.format} does not run in ONNX Runtime: a job tests it on its board"), None
    if not shown:
        return _left("the profile names no known image (`selftest`)"), None
    model = OnnxModel(store.path(variant.file.sha256))
    if model.input_type != "tensor(float)":
        return _left(f"its input is {model.input_type}: a job tests it on its board"), None
    spec = resolved.model
    examined = examine(
        model.infer,
        Reading(spec.task, variant.input or spec.input, variant.output or spec.output),
        shown,
        reference=reference,
        strict=variant.precision == "fp32",
        names=resolved.class_names,
    )
    tested = SelfTested(examined.selftest.passed, examined.selftest, score=examined.score)
    return tested, examined.reference


def _left(reason: str) -> SelfTested:
    return SelfTested(None, reason=reason)
