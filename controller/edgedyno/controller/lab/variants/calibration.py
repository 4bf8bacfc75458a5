"""Calibration images, prepared once for all formats of a job: the same pixels calibrate every tool.

`python -m edgedyno.controller.lab.variants.calibration REQUEST.json` prepares them: decoders of image files
are native code, and what a broken file does to them it does to a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.variants.children import run_child
from edgedyno.controller.lab.variants.lifeline import die_with_parent
from edgedyno.controller.lab.variants.request import (
    NamedImage,
    PrepareAnswer,
    PrepareRequest,
    decode_prepare,
    decode_prepared,
)
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Failure

if TYPE_CHECKING:
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.manifest import ResolvedJob

_SHOWN = 3
_MODULE = "edgedyno.controller.lab.variants.calibration"


class Calibration:
    """The calibration tensors of one job, in `folder`; made when the first variant asks for them."""

    def __init__(
        self, resolved: ResolvedJob, store: ContentStore, folder: Path, *, timeout_seconds: float
    ) -> None:
        self._input = resolved.model.input
        self._folder = folder
        self._timeout_seconds = timeout_seconds
        self._answer: PrepareAnswer | None = None
        self.images = [
            NamedImage(str(store.path(image.sha256)), image.name or image.sha256[:12])
            for image in resolved.calibration
        ]

    def tensors(self) -> PrepareAnswer:
        """Return the paths of the prepared tensors, or why there are none; no images give no tensors."""
        if self._answer is None:
            self._answer = self._prepare() if self.images else PrepareAnswer()
        return self._answer

    def _prepare(self) -> PrepareAnswer:
        self._folder.mkdir(parents=True, exist_ok=True)
        page, answer = self._folder / "request.json", self._folder / "answer.json"
        request = PrepareRequest(self.images, self._input, str(self._folder), str(answer))
        page.write_bytes(msgspec.json.encode(request))
        command = [sys.executable, "-m", _MODULE, str(page)]
        failure = run_child(
            command, folder=self._folder, timeout_seconds=self._timeout_seconds, foreign=False
        )
        if failure is not None:
            return PrepareAnswer(failure=failure)
        if not answer.is_file():
            text = "preparing the calibration images ended with status 0 and said nothing"
            return PrepareAnswer(failure=Failure("variant.crashed", text))
        return decode_prepared(answer.read_bytes())


def prepare_all(request: PrepareRequest) -> PrepareAnswer:
    """Prepare every image; one that cannot be used fails the whole, so that no range rests on luck."""
    import numpy as np

    from edgedyno.core.vision import prepare

    tensors, broken = [], []
    for number, image in enumerate(request.images):
        try:
            tensor = prepare(Path(image.path).read_bytes(), request.input).tensor
        except ConfigError as error:
            broken.append((image.name, error))
            continue
        path = Path(request.folder) / f"{number:05}.npy"
        np.save(path, tensor, allow_pickle=False)
        tensors.append(str(path))
    if broken:
        return PrepareAnswer(failure=_broken(broken, len(request.images)))
    return PrepareAnswer(tensors)


def _broken(broken: list[tuple[str, ConfigError]], total: int) -> Failure:
    first = "; ".join(f"{name}: {error}" for name, error in broken[:_SHOWN])
    more = f"; and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    text = f"{len(broken)} of {total} calibration images cannot be used: {first}{more}; mend or remove them"
    return Failure(broken[0][1].code, text)


def main() -> None:
    """Read the request named on the command line and write its answer."""
    die_with_parent()
    request = decode_prepare(Path(sys.argv[1]).read_bytes())
    Path(request.answer).write_bytes(msgspec.json.encode(prepare_all(request)))


if __name__ == "__main__":
    main()
