"""What is needed to do it again: the job as YAML, and every file by its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.report.words import ROLES
from edgedyno.controller.lab.verdict.measured import QUANTITIES
from edgedyno.core.errors import ConfigError
from edgedyno.core.units import UNITS, format_bytes, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.job import JobSpec
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Result


@dataclass(frozen=True)
class File:
    """One file of the job."""

    role: str
    name: str
    sha256: str


@dataclass(frozen=True)
class Reproduction:
    """What the last section shows."""

    yaml: str
    files: list[File]


def describe_reproduction(resolved: ResolvedJob, results: Sequence[Result]) -> Reproduction:
    """Return the job and its files."""
    files = [
        File(say(ROLES["source"]), resolved.source.name or resolved.model.source, resolved.source.sha256)
    ]
    variants = {
        result.variant_sha256: f"{result.precision} {result.format}{_size(result.size_bytes)}"
        for result in results
        if result.variant_sha256
    }
    files += [File(say(ROLES["variant"]), name, sha256) for sha256, name in variants.items()]
    if resolved.annotations is not None:
        named = resolved.annotations.name or say("annotations")
        name = say("{name} ({count} images)", name=named, count=len(resolved.images))
        files.append(File(say(ROLES["annotations"]), name, resolved.annotations.sha256))
    return Reproduction(job_yaml(resolved.spec), files)


def job_yaml(spec: JobSpec) -> str:
    """Return the job as its YAML file would state it, with units where they lose nothing."""
    document: dict[str, Any] = msgspec.to_builtins(spec)
    require = document.get("require", {})
    for quantity in QUANTITIES:
        if quantity.name in require:
            require[quantity.name] = _with_unit(
                require[quantity.name], quantity.write(require[quantity.name])
            )
    measure = document.get("measure", {})
    if "precision" in measure:
        measure["precision"] = _with_unit(measure["precision"], f"{measure['precision'] * 100:g}%")
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=88, default_flow_style=None)


def _with_unit(number: float, text: str) -> float | str:
    """Return `text` if it says exactly `number` in some dimension, else the number."""
    for dimension in UNITS:
        try:
            if abs(parse_quantity(text, dimension) - number) <= 1e-12 * abs(number):
                return text
        except ConfigError:
            continue
    return number


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f", {format_bytes(size_bytes)}"
