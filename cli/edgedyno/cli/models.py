"""`edgedyno models`: list, check, build."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.cli.output import print_json, print_table, say
from edgedyno.cli.places import cache_folder
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.profiles import find_profile, names_of
from edgedyno.controller.lab.resolve import resolve_job
from edgedyno.controller.lab.variants import build_variants, needs_reduce_range
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.job import JobSpec, Sweep
from edgedyno.core.profile import ModelProfile
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from edgedyno.core.manifest import ResolvedJob, Variant

PRECISIONS = ("fp32", "fp16", "int8")


def list_models(*, as_json: bool) -> None:
    """Print the packaged model profiles."""
    profiles = [find_profile(name, ModelProfile, base=Path.cwd()).profile for name in names_of(ModelProfile)]
    if as_json:
        print_json(profiles)
        return
    rows = [
        [one.name, one.task, f"{one.input.size[0]}x{one.input.size[1]}", one.output.decoder, one.licence]
        for one in profiles
    ]
    print_table("", ("model", "task", "input", "decoder", "licence"), rows)


def check(model: str, *, as_json: bool) -> None:
    """Resolve a model and print what it is; raise what is wrong with it."""
    resolved = _resolve(model, dataset=None)
    found = {
        "name": resolved.model.name,
        "task": resolved.model.task,
        "sha256": resolved.source.sha256,
        "size_bytes": resolved.source.size_bytes,
        "input": resolved.model.input,
        "output": resolved.model.output,
        "classes": len(resolved.class_names),
    }
    if as_json:
        print_json(found)
    else:
        print_table("", ("", ""), [(key, _plain(value)) for key, value in found.items()])


def _plain(value: object) -> str:
    parts = msgspec.to_builtins(value)
    return (
        ", ".join(f"{key} {part}" for key, part in parts.items()) if isinstance(parts, dict) else str(parts)
    )


def build(
    model: str, *, out: Path, dataset: str, precisions: str, reduce_range: bool | None, as_json: bool
) -> None:
    """Build variants into a folder; raise RunError when one could not be built."""
    wanted = precisions.split(",")
    for precision in wanted:
        if precision not in PRECISIONS:
            hint = nearest(precision, PRECISIONS)
            raise ConfigError(
                f"--precisions: found {precision!r}, expected some of {', '.join(PRECISIONS)}{hint}"
            )
    store = ContentStore(cache_folder() / "store")
    resolved = _resolve(model, dataset=dataset)
    if reduce_range is None:
        features = read_capabilities(probe_runtimes=False).cpu.features
        reduce_range = needs_reduce_range(features)
    say(f"building {', '.join(wanted)} of {resolved.model.name}, reduce_range={reduce_range}")
    rows = []
    for precision in wanted:
        started = time.monotonic()
        variants = build_variants(resolved, store=store, precisions=[precision], reduce_range=reduce_range)  # type: ignore[list-item]
        rows += [
            (variant, time.monotonic() - started, _copy(variant, store, out, resolved))
            for variant in variants
        ]
    if as_json:
        print_json(
            [{"variant": variant, "seconds": took, "path": str(path or "")} for variant, took, path in rows]
        )
    else:
        columns = ("precision", "format", ">size", ">seconds", "file or failure")
        print_table("", columns, [_row(variant, took, path) for variant, took, path in rows])
    if any(variant.failure for variant, _, _ in rows):
        raise RunError("not every variant could be built", code="variant.failed")


def _resolve(model: str, *, dataset: str | None) -> ResolvedJob:
    spec = JobSpec(name="build", model=model, dataset=dataset, sweep=Sweep())
    return resolve_job(spec, base=Path.cwd(), store=ContentStore(cache_folder() / "store"))


def _copy(variant: Variant, store: ContentStore, out: Path, resolved: ResolvedJob) -> Path | None:
    if variant.file is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{resolved.model.name}_{variant.precision}.{variant.format}"
    part = path.with_name(path.name + ".part")
    shutil.copyfile(store.path(variant.file.sha256), part)
    part.replace(path)
    return path


def _row(variant: Variant, took: float, path: Path | None) -> list[object]:
    size = format_bytes(variant.file.size_bytes) if variant.file else None
    return [
        variant.precision,
        variant.format,
        size,
        f"{took:.1f}",
        path or (variant.failure and variant.failure.text),
    ]
