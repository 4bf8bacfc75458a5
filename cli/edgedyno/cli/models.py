"""`edgedyno models`: list and check. Building is in `build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.intake import resolve_aloud
from edgedyno.cli.output import print_json, print_table, say, stdout
from edgedyno.cli.places import cache_folder
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.inspection import Inspection, Tensor, Trip, inspect_file
from edgedyno.controller.lab.prebuilt import input_trip
from edgedyno.controller.lab.profiles import find_profile, names_of
from edgedyno.controller.lab.selftest.running import run_selftest, selftest_lines
from edgedyno.core.job import JobSpec
from edgedyno.core.profile import ModelProfile
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from edgedyno.core.manifest import ResolvedJob

_SHOWN_TYPES = 12


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


def check(model: str, *, against: str | None, as_json: bool) -> int:
    """Print what a file or a profile is and what will trip; return 1 where no runtime will run it."""
    path = Path(model)
    is_profile = path.suffix in (".yaml", ".yml") or (not path.is_file() and "." not in path.name)
    return (
        _check_profile(model, as_json=as_json) if is_profile else _check_file(path, against, as_json=as_json)
    )


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


def _check_profile(model: str, *, as_json: bool) -> int:
    """Resolve a model and print what it is; raise what is wrong with it; return 1 where its self-test fails."""
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
    tested = run_selftest(find_profile(model, ModelProfile, base=Path.cwd()))
    if as_json:
        print_json({**found, "trips": source.trips, "selftest": tested})
    else:
        print_table("", ("", ""), [(key, _plain(value)) for key, value in found.items()])
        _print_trips(source.trips)
        for line in selftest_lines(tested):
            say(line)
    return int(tested.passed is False)


def resolve(model: str, *, dataset: str | None) -> ResolvedJob:
    """Look a model and a data set up as a job would."""
    spec = JobSpec(name="build", model=model, dataset=dataset)
    return resolve_aloud(spec, base=Path.cwd(), store=ContentStore(cache_folder() / "store"))


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
