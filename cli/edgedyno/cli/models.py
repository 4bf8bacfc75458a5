"""`edgedyno models`: list and check. Building is in `build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.cli.intake import resolve_aloud
from edgedyno.cli.output import print_json, print_table, say, stdout
from edgedyno.cli.places import cache_folder
from edgedyno.cli.progress import BuildProgress
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.inspection import Inspection, Tensor, Trip, inspect_file
from edgedyno.controller.lab.prebuilt import input_trip
from edgedyno.controller.lab.profiles import find_profile, names_of
from edgedyno.controller.lab.selftest.running import (
    SelfTested,
    class_mismatch,
    run_selftest,
    selftest_lines,
)
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec, Precision
from edgedyno.core.profile import ModelProfile
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.selftest.variants import VariantTested
    from edgedyno.core.manifest import ResolvedJob, Variant

_SHOWN_TYPES = 12
DATASET = "coco_ccby"
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


def list_models(*, as_json: bool) -> None:
    """Print the packaged model profiles."""
    profiles = [find_profile(name, ModelProfile, base=Path.cwd()).profile for name in names_of(ModelProfile)]
    if as_json:
        print_json(profiles)
        return
    rows = [
        [
            one.name,
            one.task,
            f"{one.input.size[0]}x{one.input.size[1]}",
            one.output.decoder,
            "ships" if one.source else "template",
            one.licence,
        ]
        for one in profiles
    ]
    print_table("", ("model", "task", "input", "decoder", "file", "licence"), rows)


def check(model: str, *, against: str | None, variants: bool, as_json: bool) -> int:
    """Print what a file or a profile is and what will trip; return 1 where no runtime will run it.

    With `variants` those of a profile are built as well, and each gets its self-test.
    """
    path = Path(model)
    is_profile = path.suffix in (".yaml", ".yml") or (not path.is_file() and "." not in path.name)
    if is_profile:
        return _check_profile(model, variants=variants, as_json=as_json)
    if variants:
        raise ConfigError(f"--variants: found the file {model}, expected a profile: a file has no variants")
    return _check_file(path, against, as_json=as_json)


def _check_file(path: Path, against: str | None, *, as_json: bool) -> int:
    found = inspect_file(path)
    if against is not None:
        profile: ModelProfile = find_profile(against, ModelProfile, base=Path.cwd()).profile
        trip = input_trip(found, profile.input)
        found = msgspec.structs.replace(found, trips=[*found.trips, *([trip] if trip else [])])
    if as_json:
        print_json(found)
    else:
        _print(found)
    return int(any(trip.severity == "error" for trip in found.trips))


def _check_profile(model: str, *, variants: bool, as_json: bool) -> int:
    """Resolve a model and print what it is; raise what is wrong with it; return 1 where a self-test fails."""
    resolved = resolve(model, dataset=None)
    found = {
        "name": resolved.model.name,
        "task": resolved.model.task,
        "sha256": resolved.source.sha256,
        "size_bytes": resolved.source.size_bytes,
        "input": resolved.model.input,
        "output": resolved.model.output,
        "classes": len(resolved.class_names),
        "variants": [f"{each.format} {each.precision} {each.name}".rstrip() for each in resolved.prebuilt],
    }
    store = ContentStore(cache_folder() / "store")
    source = inspect_file(store.path(resolved.source.sha256))
    profile = find_profile(model, ModelProfile, base=Path.cwd())
    tested, mismatch = run_selftest(profile), class_mismatch(profile)
    trips = [*source.trips, *([Trip("model.class-count", mismatch, "error")] if mismatch else [])]
    each = _test_variants(model, store) if variants else []
    if as_json:
        told = {"variant_selftests": each} if variants else {}
        print_json({**found, "trips": trips, "selftest": tested, **told})
    else:
        print_table("", ("", ""), [(key, _plain(value)) for key, value in found.items()])
        _print_trips(trips)
        for line in selftest_lines(tested):
            say(line)
        _print_variants(each, told=tested.result.text if tested.result else None)
    failed = tested.passed is False or any(one.test.passed is False for one in each)
    return int(failed or mismatch is not None)


def _test_variants(model: str, store: ContentStore) -> list[VariantTested]:
    """Build the model's ONNX variants, calibrated as `models build` does, and test them and the user's own."""
    from edgedyno.controller.lab.selftest.variants import selftest_variants
    from edgedyno.controller.lab.variants import build_variants, needs_reduce_range

    resolved = resolve(model, dataset=default_dataset(model))
    with BuildProgress() as progress:
        built = build_variants(
            resolved,
            store=store,
            precisions=PRECISIONS,
            reduce_range=needs_reduce_range(read_capabilities(probe_runtimes=False).cpu.features),
            formats=["onnx"],
            progress=progress.show,
        )
    others = [each for each in resolved.prebuilt if each not in built]
    return selftest_variants(resolved, [*built, *others], store)


def _print_variants(tested: Sequence[VariantTested], *, told: str | None) -> None:
    """Print a line for each variant, and what has to be said that was not yet `told`."""
    if tested:
        rows = [(_label(one.variant), _state(one.test), _score(one.test)) for one in tested]
        print_table("", ("variant", "self-test", ">seen with"), rows)
    for one in tested:
        text = one.test.result.text if one.test.result else one.test.reason
        if text != told and (one.test.passed is not True or (one.test.result and one.test.result.suspect)):
            say(f"{_label(one.variant)}: {text}")


def _label(variant: Variant) -> str:
    return f"{variant.format} {variant.precision} {variant.name}".rstrip()


def _state(test: SelfTested) -> str:
    return selftest_lines(test)[0].removeprefix("self-test: ") if test.passed is not False else _failure(test)


def _failure(test: SelfTested) -> str:
    code = test.result.looks_like if test.result else None
    return f"failed ({code})" if code else "failed"


def _score(test: SelfTested) -> str | None:
    return None if test.score is None else f"{test.score:.2f}"


def resolve(model: str, *, dataset: str | None) -> ResolvedJob:
    """Look a model and a data set up as a job would."""
    spec = JobSpec(name="build", model=model, dataset=dataset)
    return resolve_aloud(spec, base=Path.cwd(), store=ContentStore(cache_folder() / "store"))


def default_dataset(model: str) -> str | None:
    """Return the bundled data set where it is one for the model's task."""
    profile: ModelProfile = find_profile(model, ModelProfile, base=Path.cwd()).profile
    return DATASET if profile.task == "detect" else None


def _plain(value: object) -> str:
    parts = msgspec.to_builtins(value)
    if isinstance(parts, dict):
        return ", ".join(f"{key} {part}" for key, part in parts.items())
    return ", ".join(str(part) for part in parts) or "-" if isinstance(parts, list) else str(parts)


def _print(found: Inspection) -> None:
    rows: list[tuple[str, object]] = [
        ("format", found.format),
        ("files", ", ".join(found.files)),
        ("size", format_bytes(found.size_bytes)),
        ("made as", found.version),
        *(("input", _tensor(each)) for each in found.inputs),
        *(("output", _tensor(each)) for each in found.outputs),
        ("operators", _operators(found)),
        ("weights", ", ".join(f"{count} {dtype}" for dtype, count in found.weights.items()) or None),
        ("precision", found.precision),
        ("quantization", found.quantization),
        *(("note", note) for note in found.notes),
    ]
    print_table("", ("", ""), [row for row in rows if row[1] is not None])
    _print_trips(found.trips)


def _tensor(each: Tensor) -> str:
    shape = (
        None if each.shape is None else "x".join("?" if side is None else str(side) for side in each.shape)
    )
    scale = None if each.scale is None else f"scale {each.scale:.6g}, zero point {each.zero_point}"
    return " ".join(part for part in (each.name, each.dtype, shape, each.layout, scale) if part)


def _operators(found: Inspection) -> str | None:
    if found.operators is None:
        return None
    named = [f"{count} {name}" for name, count in found.operator_types.items()]
    more = f", and {len(named) - _SHOWN_TYPES} more types" if len(named) > _SHOWN_TYPES else ""
    return f"{found.operators}: {', '.join(named[:_SHOWN_TYPES])}{more}"


def _print_trips(trips: list[Trip]) -> None:
    for trip in trips:
        stdout().print(f"{trip.severity}: {trip.text} [{trip.code}]", markup=False, soft_wrap=True)
