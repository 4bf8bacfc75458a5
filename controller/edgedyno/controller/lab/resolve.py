"""A job as its user wrote it becomes one that can be submitted: names looked up, files checked and hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.datasets import Finding, ResolvedDataset, find_dataset, resolve_dataset
from edgedyno.controller.lab.datasets.survey import nothing
from edgedyno.controller.lab.prebuilt import resolve_prebuilt
from edgedyno.controller.lab.profiles import check_has_source, check_task, extended, find_profile
from edgedyno.controller.lab.selftest.knowing import resolve_known
from edgedyno.controller.lab.source import check_source
from edgedyno.core.document import decode_yaml
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.profile import ModelProfile
from edgedyno.core.scenario import check_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore


def load_job(path: Path) -> JobSpec:
    """Read a job's YAML file. Raises ConfigError naming file:line, what was found and what was expected."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}, expected a job's YAML file", code="job.unreadable"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}", code="job.unreadable") from error

    def complete(data: Any) -> Any:
        for part in ("model", "dataset"):
            check_task(data.get(part) if isinstance(data, dict) else None, f"{path}: {part}")
        if not isinstance(data, dict) or "model" not in data:
            return data
        return {**data, "model": extended(data["model"], base=path.parent)}

    return decode_yaml(text, JobSpec, file=str(path), expand=complete)


def _unheard(_finding: Finding) -> None:
    """Pass over what is told."""


def resolve_job(
    spec: JobSpec,
    *,
    base: Path,
    store: ContentStore,
    progress: Callable[[int, int], None] = nothing,
    tell: Callable[[Finding], None] = _unheard,
) -> ResolvedJob:
    """Look up the job's names and put its files into `store`; paths in the job are relative to `base`.

    `progress` hears of images read and to read, `tell` what is odd about the data set but does not refuse it.
    Raises ConfigError or UnsupportedError for the first thing that cannot be used.
    """
    # How many trials there are only a board can tell; what one of them needs is known here.
    check_scenario(spec.sweep.scenario, max_seconds=spec.measure.max_seconds, trials=1)
    model = find_profile(spec.model, ModelProfile, base=base)
    profile: ModelProfile = model.profile
    dataset = None if spec.dataset is None else find_dataset(spec.dataset, base=base, task=profile.task)
    if dataset is not None and dataset.profile.task != profile.task:
        raise ConfigError(
            f"found data set {dataset.profile.name!r} for {dataset.profile.task!r}, expected one for "
            f"{profile.task!r} as model {profile.name!r} is",
            code="job.task",
        )
    check_has_source(model)
    source = model.base / profile.source
    check_source(source, profile)
    names = class_names(profile.classes, base=model.base)
    prebuilt = resolve_prebuilt(profile, base=model.base, store=store)
    files = ResolvedDataset([], None, [])
    if dataset is not None:
        files = resolve_dataset(dataset.profile, names, base=dataset.base, store=store, progress=progress)
        for finding in files.findings:
            tell(finding)
    reference = store.add_file(source)
    return ResolvedJob(
        spec=spec,
        model=_self_contained(profile, names, sha256=reference.sha256),
        source=reference,
        class_names=names,
        dataset=None if dataset is None else dataset.profile,
        images=files.images,
        annotations=files.annotations,
        calibration=files.calibration,
        known=resolve_known(profile, names, base=model.base, store=store),
        prebuilt=prebuilt,
    )


def _self_contained(profile: ModelProfile, names: list[str], *, sha256: str) -> ModelProfile:
    """Return the profile as a board can read it, which has no file of class names."""
    classes = names if isinstance(profile.classes, str) else profile.classes
    return msgspec.structs.replace(profile, sha256=sha256, classes=classes)
