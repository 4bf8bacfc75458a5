"""What a foreign interpreter has: its version and those of the packages that decide a build."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.controller.lab.variants.formats import FOREIGN
from edgedyno.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASK_SECONDS = 60.0
# `-I`: nothing of the user's; runs on Python 3.8.
_QUESTION = """
import json, platform, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"python": platform.python_version(), "machine": platform.machine(), **found}))
"""
_asked: dict[tuple[object, ...], dict[str, str]] = {}


def tool_versions(name: str, python: str) -> dict[str, str]:
    """Return the versions that decide what the builder of format `name` makes in the interpreter `python`.

    Asked once, and again after something was installed there. Raises UnsupportedError (builder.missing) for an
    interpreter that does not answer or has none of the format's packages.
    """
    key = (FOREIGN[name].packages, python, *_stamps(python))
    if key not in _asked:
        found = _ask(python, FOREIGN[name].packages)
        if not found.keys() - {"python", "machine", "numpy", "onnx"}:
            wanted = ", ".join(FOREIGN[name].packages)
            raise UnsupportedError(
                f"{python} has none of the packages that build {name} ({wanted}): "
                f"`edgedyno agent runtimes add {FOREIGN[name].environment}` makes an environment that has",
                code="builder.missing",
            )
        _asked[key] = found
    return _asked[key]


def _stamps(python: str) -> list[int]:
    """Return when the interpreter and its folders of packages were last changed."""
    places = [Path(python), *sorted(Path(python).parent.parent.glob("lib/python3*/site-packages"))]
    return [place.stat().st_mtime_ns for place in places if place.exists()]


def _ask(python: str, packages: Sequence[str]) -> dict[str, str]:
    command = [python, "-I", "-c", _QUESTION, *packages]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ASK_SECONDS, check=True)
        found: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        raise UnsupportedError(
            f"the builder's interpreter {python} does not answer: {error}", code="builder.missing"
        ) from error
    return found
