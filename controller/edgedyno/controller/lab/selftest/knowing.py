"""The known images of a profile: found, checked against its classes, put into the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import ExpectedObject, Known

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.profile import Expected, KnownImage, ModelProfile

_log = logging.getLogger(__name__)


def resolve_known(profile: ModelProfile, names: list[str], *, base: Path, store: ContentStore) -> list[Known]:
    """Put the profile's known images into the store; their paths are relative to `base`.

    One that is not there, or shows a class that the model has not, is left out with a warning: `models check` says
    what is wrong with it, and a job can do without.
    """
    known = []
    for each in profile.selftest:
        try:
            known.append(Known(store.add_file(known_path(each, base)), expected_objects(each, names)))
        except ConfigError as error:
            _log.warning("%s: no self-test with %s: %s", profile.name, each.image, error)
    return known


def known_path(known: KnownImage, base: Path) -> Path:
    """Return where a known image is. Raises ConfigError (selftest.image) where it is not."""
    path = base / known.image
    if not path.is_file():
        raise ConfigError(f"selftest: found no image {path}", code="selftest.image")
    return path


def expected_objects(known: KnownImage, names: list[str]) -> list[ExpectedObject]:
    """Return what a known image shows, its classes by index."""
    return [
        ExpectedObject(index, names[index], each.box, each.min_iou, each.min_score)
        for each, index in ((each, index_of(each, names)) for each in known.expect)
    ]


def index_of(expected: Expected, names: list[str]) -> int:
    """Return the expected class's index. Raises ConfigError (selftest.class) where the model has no such class."""
    if isinstance(expected.label, int):
        if 0 <= expected.label < len(names):
            return expected.label
    elif expected.label in names:
        return names.index(expected.label)
    raise ConfigError(
        f"selftest: found the class {expected.label!r}, expected one of the model's {len(names)} classes"
        f"{nearest(str(expected.label), names)}",
        code="selftest.class",
    )
