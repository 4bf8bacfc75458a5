"""Class names: written out in a profile, in a text file beside it, packaged under a short name, or counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.profiles import packaged
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def class_names(classes: str | list[str] | int, *, base: Path) -> list[str]:
    """Return the names behind a profile's `classes`: a list, `coco80`, or a text file of one name a line.

    Of a number of classes each is called by its index. Raises ConfigError (model.classes) for a name that is
    neither, and for a list with a name twice.
    """
    if isinstance(classes, int):
        classes = [str(index) for index in range(classes)]
    names = classes if isinstance(classes, list) else _named(classes, base)
    if not names:
        raise ConfigError("found no class names, expected at least one", code="model.classes")
    doubled = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if doubled is not None:
        raise ConfigError(f"found the class name {doubled!r} twice, expected it once", code="model.classes")
    return list(names)


def _named(name: str, base: Path) -> list[str]:
    built_in = {path.stem: path for path in packaged("models").glob("*.txt")}
    path = built_in.get(name, base / name)
    if not path.is_file():
        raise ConfigError(
            f"found classes {name!r}, expected {', '.join(built_in)}, a list of names or a text file "
            f"(there is no {path}){nearest(name, built_in)}",
            code="model.classes",
        )
    lines = path.read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]
