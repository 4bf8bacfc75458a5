"""Which runtime tries which variant of a precision; pure. What a job names and cannot have says why.

A runtime takes the first of its formats, its own first, that the model has a variant in; a job may name formats
instead. A variant of a format that a runtime does not load is no failure of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edgedyno.core.document import nearest
from edgedyno.core.manifest import Failure, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.job import Sweep
    from edgedyno.core.manifest import Manifest


class Engine(Struct, frozen=True):
    """A runtime for one variant, or why there is none."""

    name: str
    version: str | None
    environment: str
    failure: Failure | None = None


def pairs(manifest: Manifest, runtimes: Sequence[RuntimeInfo]) -> Iterator[tuple[Variant, Engine]]:
    """Give every variant with every runtime that is to try it, precision by precision."""
    for precision in dict.fromkeys(manifest.sweep.precisions):
        variants = [_whole(each) for each in manifest.variants if each.precision == precision]
        if not variants:
            text = f"the manifest holds no {precision} variant of {manifest.model.name}"
            variants = [Variant(precision, "none", failure=Failure("variant.missing", text))]
        yield from _of_precision(variants, manifest, runtimes)


def _whole(variant: Variant) -> Variant:
    if variant.file is not None or variant.failure is not None:
        return variant
    text = f"the {variant.precision} variant for {variant.format} has neither a file nor a reason why not"
    return structs.replace(variant, failure=Failure("variant.missing", text))


def _of_precision(
    variants: list[Variant], manifest: Manifest, runtimes: Sequence[RuntimeInfo]
) -> Iterator[tuple[Variant, Engine]]:
    sweep = manifest.sweep
    wanted = _known_formats(sweep, manifest.variants, runtimes)
    yield from ((_unknown(form, variants, known), NO_ENGINE) for form, known in wanted.unknown)
    if sweep.formats and not wanted.formats:
        return
    if sweep.runtimes:
        for name in dict.fromkeys(sweep.runtimes):
            yield from _named(name, variants, wanted.formats, runtimes)
        return
    available = [info for info in runtimes if info.available]
    usual = [info for info in available if info.name not in ONLY_WHEN_NAMED]
    found = [pair for info in usual or available for pair in _of_runtime(info, variants, wanted.formats)]
    yield from found or _nothing(variants, wanted.formats, runtimes)


# A cross-check rather than a choice to deploy. The agent needs OpenCV itself, so each of its own environments has
# it: every job would take a runtime more than its author thought of.
ONLY_WHEN_NAMED = frozenset(["opencv"])
NO_ENGINE = Engine("none", None, "")


class _Formats(Struct, frozen=True):
    """Of the formats that a job names those that mean something; and each other one, with what would."""

    formats: list[str]
    unknown: list[tuple[str, list[str]]]


def _known_formats(sweep: Sweep, variants: Iterable[Variant], runtimes: Iterable[RuntimeInfo]) -> _Formats:
    known = {each.format for each in variants} | {form for info in runtimes for form in info.formats}
    named = list(dict.fromkeys(sweep.formats))
    return _Formats(
        [form for form in named if form in known],
        [(form, sorted(known)) for form in named if form not in known],
    )


def _unknown(form: str, variants: Sequence[Variant], known: list[str]) -> Variant:
    text = f"found no format {form!r} among variants and runtimes, expected one of {', '.join(known)}"
    failure = Failure("format.unknown", text + nearest(form, known))
    return Variant(variants[0].precision, form, failure=failure)


def _of_runtime(
    info: RuntimeInfo, variants: Sequence[Variant], formats: Sequence[str]
) -> list[tuple[Variant, Engine]]:
    """Pair a runtime with its variants; with those that could not be built only where it has no other."""
    engine = Engine(info.name, info.version, info.environment)
    if formats:
        return [(each, engine) for form in formats if form in info.formats for each in _in(form, variants)]
    candidates = [_in(form, variants) for form in info.formats]
    built = [found for found in candidates if any(each.file is not None for each in found)]
    chosen = next(iter(built or filter(None, candidates)), [])
    return [(each, engine) for each in chosen]


def _in(form: str, variants: Iterable[Variant]) -> list[Variant]:
    return [each for each in variants if each.format == form]


def _named(
    name: str, variants: Sequence[Variant], formats: Sequence[str], runtimes: Sequence[RuntimeInfo]
) -> Iterator[tuple[Variant, Engine]]:
    found, failure = select(name, runtimes)
    if failure is not None:
        version = found[0].version if found else None
        engine = Engine(name.partition("@")[0], version, "", failure)
        yield _nearest_variant(variants, formats), engine
        return
    for info in found:
        mine = _of_runtime(info, variants, formats)
        yield from mine or [_misfit(info, variants, formats)]


def select(name: str, runtimes: Sequence[RuntimeInfo]) -> tuple[list[RuntimeInfo], Failure | None]:
    """Return the runtimes that a job means by `ncnn` or `ncnn@20260526`, or why there is none that works."""
    plain, at, version = name.partition("@")
    found = [info for info in runtimes if info.name == plain]
    if not found:
        known = list(dict.fromkeys(info.name for info in runtimes))
        text = f"found no runtime {plain!r} on this board, expected one of {', '.join(known) or 'none'}"
        return [], Failure("runtime.unknown", text + nearest(plain, known))
    usable = [info for info in found if info.available]
    if not usable:
        reasons = "; ".join(_reason(info) for info in found)
        return found, Failure("runtime.unavailable", f"{plain} {reasons}")
    chosen = [info for info in usable if not at or is_version(version, info.version)]
    if not chosen:
        versions = list(dict.fromkeys(f"{plain}@{info.version}" for info in usable))
        text = f"found no {name!r} on this board, expected one of {', '.join(versions)}"
        return [], Failure("runtime.version", text + nearest(name, versions))
    return chosen, None


def is_version(wanted: str, version: str | None) -> bool:
    """Tell whether `version` is the wanted one, or begins or ends with its parts: 1.31, 20260526."""
    return version is not None and (
        version == wanted or version.startswith(f"{wanted}.") or version.endswith(f".{wanted}")
    )


def _reason(info: RuntimeInfo) -> str:
    reason = info.reason or "no reason given"
    return f"in {info.environment!r}: {reason}" if info.environment else f"is {reason}"


def _nearest_variant(variants: Sequence[Variant], formats: Sequence[str]) -> Variant:
    """Return the variant that stands for its precision where no runtime chooses one."""
    fitting = [each for each in variants if not formats or each.format in formats] or list(variants)
    return next((each for each in fitting if each.file is not None), fitting[0])


def _misfit(info: RuntimeInfo, variants: Sequence[Variant], formats: Sequence[str]) -> tuple[Variant, Engine]:
    variant = _nearest_variant(variants, formats)
    engine = Engine(info.name, info.version, info.environment)
    if variant.format == "none":
        return variant, engine
    loads = ", ".join(info.formats) or "no format"
    if formats and not set(formats) & set(info.formats):
        text = f"{info.name} {info.version} loads {loads}; the job asks for {', '.join(formats)}"
    else:
        text = f"{info.name} {info.version} loads {loads}; found {_found(variants)}"
    return variant, structs.replace(engine, failure=Failure("runtime.format", text))


def _found(variants: Sequence[Variant]) -> str:
    """Write which formats there are."""
    formats = list(dict.fromkeys(repr(each.format) for each in variants))
    return f"{variants[0].precision} variants in {', '.join(formats)}"


def _nothing(
    variants: Sequence[Variant], formats: Sequence[str], runtimes: Sequence[RuntimeInfo]
) -> Iterator[tuple[Variant, Engine]]:
    """Say that no runtime tries a precision; once for each format, with what the others lack."""
    wanted = [each for each in variants if not formats or each.format in formats] or variants
    reasons = "; ".join(f"{info.name}: {info.reason}" for info in runtimes if not info.available)
    for form in dict.fromkeys(each.format for each in wanted):
        text = f"no runtime on this board can run {form!r}" + (f" ({reasons})" if reasons else "")
        engine = structs.replace(NO_ENGINE, failure=Failure("runtime.unavailable", text))
        yield _nearest_variant(_in(form, wanted), ()), engine
