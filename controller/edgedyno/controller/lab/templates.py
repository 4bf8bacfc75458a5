"""Profiles that extend others: what a user leaves out comes from the profile that `extends` names.

Mappings are merged key by key, everything else is replaced. Paths stay relative to the file they stand in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_DEPTH = 8
# What is about one very file, or one list of classes, does not hold for another.
_OF_SOURCE = ("sha256", "variants")
_OF_CLASSES = ("selftest",)


def extend(data: Any, *, base: Path, look: Callable[[str, Path], tuple[Any, Path]], depth: int = 0) -> Any:
    """Return a model profile's plain data with what it extends taken up.

    `look` gives the plain data behind a name or path, and the folder that its paths are relative to. Raises
    ConfigError (profile.extends) for a circle.
    """
    if not isinstance(data, dict) or not isinstance(data.get("extends"), str):
        return data
    if depth >= MAX_DEPTH:
        raise ConfigError(
            f"found `extends: {data['extends']}` more than {MAX_DEPTH} profiles deep, expected no circle",
            code="profile.extends",
        )
    found, folder = look(data["extends"], base)
    parent = extend(found, base=folder, look=look, depth=depth + 1)
    if not isinstance(parent, dict):
        return data
    own = {key: value for key, value in data.items() if key != "extends"}
    dropped = (_OF_SOURCE if "source" in own else ()) + (_OF_CLASSES if "classes" in own else ())
    kept = {key: value for key, value in parent.items() if key not in dropped}
    return _merge(_anchored(kept, folder), own)


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merge(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the data with its paths made absolute."""
    anchored = dict(data)
    if data.get("source"):
        anchored["source"] = _absolute(data["source"], folder)
    classes = data.get("classes")
    if isinstance(classes, str) and (folder / classes).is_file():
        anchored["classes"] = _absolute(classes, folder)
    for key, name in (("selftest", "image"), ("variants", "file")):
        entries = data.get(key)
        if isinstance(entries, list):
            anchored[key] = [
                {**entry, name: _absolute(entry[name], folder)}
                if isinstance(entry, dict) and name in entry
                else entry
                for entry in entries
            ]
    return anchored


def _absolute(path: Any, folder: Path) -> Any:
    return str((folder / path).resolve()) if isinstance(path, str) else path
