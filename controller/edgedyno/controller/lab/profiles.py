"""Find the profile of a model or data set: by name, by the path of a YAML file, or written out in the job."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from msgspec import Struct

from edgedyno.controller.lab.templates import extend
from edgedyno.core.document import decode_yaml, nearest, read_plain
from edgedyno.core.errors import ConfigError, UnsupportedError
from edgedyno.core.profile import DatasetProfile, ModelProfile, Task

P = TypeVar("P", ModelProfile, DatasetProfile)
_FOLDERS: dict[type, str] = {ModelProfile: "models", DatasetProfile: "datasets"}


_TASKS_TO_COME = frozenset({"segment", "segmentation", "pose", "keypoints", "obb"})


class Found(Struct, Generic[P], frozen=True):
    """A profile and the folder that its paths are relative to."""

    profile: P
    base: Path
    origin: str
    """Where it was found, for error messages."""


def packaged(folder: str) -> Path:
    """Return a folder of the packaged profiles: models, datasets, jobs, boards or samples."""
    return Path(str(files("edgedyno.profiles").joinpath(folder)))


def names_of(kind: type[P]) -> list[str]:
    """Return the names of the packaged profiles of a kind."""
    return sorted(path.stem for path in packaged(_FOLDERS[kind]).glob("*.yaml"))


def find_profile(wanted: str | P, kind: type[P], *, base: Path) -> Found[P]:
    """Return the profile that a job means by `wanted`; `base` is the folder of the job's file.

    Raises ConfigError: profile.unknown for a name or path that leads nowhere, profile.is-model for the path
    of a model file, and what the YAML itself has wrong.
    """
    if not isinstance(wanted, str):
        return Found(wanted, base, "the job")
    path = _find(wanted, kind, base)

    def complete(data: Any) -> Any:
        check_task(data, str(path))
        return extended(data, base=path.parent) if _FOLDERS[kind] == "models" else data

    profile = decode_yaml(_text(path), kind, file=str(path), expand=complete)
    return Found(profile, path.parent, str(path))


def check_task(data: Any, place: str) -> None:
    """Raise UnsupportedError (profile.task) where a profile's plain data names a task that is known but not done."""
    task = data.get("task") if isinstance(data, dict) else None
    if isinstance(task, str) and task in _TASKS_TO_COME:
        raise UnsupportedError(
            f"{place}: task {task!r} is not supported yet; supported: {', '.join(get_args(Task))}",
            code="profile.task",
        )


def extended(data: Any, *, base: Path) -> Any:
    """Return a model profile's plain data with what it `extends` taken up; paths are relative to `base`.

    Raises ConfigError: profile.unknown for a name or path that leads nowhere, profile.extends for a circle.
    """
    return extend(data, base=base, look=_plain)


def _plain(wanted: str, base: Path) -> tuple[Any, Path]:
    path = _find(wanted, ModelProfile, base)
    return read_plain(_text(path), file=str(path)), path.parent


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text: {error}", code="document.encoding") from error


def _find(wanted: str, kind: type[P], base: Path) -> Path:
    path = base / wanted if _is_path(wanted) else packaged(_FOLDERS[kind]) / f"{wanted}.yaml"
    if not path.is_file():
        raise _unknown(wanted, kind, path)
    return path


def check_has_source(found: Found[ModelProfile]) -> None:
    """Raise ConfigError (profile.template) for a profile that names no model file."""
    if not found.profile.source:
        raise ConfigError(
            f"{found.origin}: profile {found.profile.name!r} names no `source`; if it is one of ours, it is a "
            f"template for a file of yours: write `model: {{extends: {found.profile.name}, source: my.onnx}}` "
            "in the job, or the same keys into a YAML file and name that",
            code="profile.template",
        )


def _is_path(wanted: str) -> bool:
    if wanted.lower().endswith((".onnx", ".tflite", ".pt", ".param", ".engine", ".rknn")):
        raise ConfigError(
            f"found the model file {wanted!r}, expected a model profile, for a file does not say how its "
            f"input is prepared and its output decoded: write a YAML with `name`, `task`, `source: {wanted}`,"
            " `input` and `output`, and name that",
            code="profile.is-model",
        )
    return "/" in wanted or wanted.endswith((".yaml", ".yml"))


def _unknown(wanted: str, kind: type[P], path: Path) -> ConfigError:
    word = _FOLDERS[kind].removesuffix("s")
    if _is_path(wanted):
        return ConfigError(
            f"found {word} {wanted!r}, expected a profile: there is no file {path}", code="profile.unknown"
        )
    known = names_of(kind)
    return ConfigError(
        f"found {word} {wanted!r}, expected one of {', '.join(known) or 'none'} (the profiles in "
        f"{path.parent}) or the path of a YAML file{nearest(wanted, known)}",
        code="profile.unknown",
    )
