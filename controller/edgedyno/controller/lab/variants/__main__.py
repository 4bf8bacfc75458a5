"""The process that builds one ONNX variant: `python -m edgedyno.controller.lab.variants REQUEST.json`.

Quantization takes memory and foreign code; here a crash costs one variant and not the controller.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import msgspec
import numpy as np

from edgedyno.controller.lab.variants.fp16 import build_fp16
from edgedyno.controller.lab.variants.graph import run_once, runner
from edgedyno.controller.lab.variants.int8 import build_int8
from edgedyno.controller.lab.variants.lifeline import die_with_parent
from edgedyno.controller.lab.variants.request import BuildAnswer, BuildRequest, decode_build
from edgedyno.controller.lab.variants.tools.nearness import output_sqnr_db, spread
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.manifest import Failure
from edgedyno.core.vision import prepare

logger = logging.getLogger(__name__)


def build(request: BuildRequest) -> BuildAnswer:
    """Build and try the variant; whatever goes wrong is the answer's failure."""
    try:
        source, target = Path(request.source), Path(request.target)
        details = build_int8(request) if request.precision == "int8" else build_fp16(source, target)
        run_once(target, _first_input(request))
        if request.precision == "int8":
            nearness = output_sqnr_db(runner(source), runner(target), spread(request.calibration))
            details["output_sqnr_db"] = nearness
    except EdgedynoError as error:
        return BuildAnswer(failure=Failure(error.code, str(error)))
    except Exception as error:
        logger.exception("building the variant failed")
        text = " ".join(str(error).split()) or "no message"
        return BuildAnswer(failure=Failure("variant.failed", f"{type(error).__name__}: {text[:500]}"))
    return BuildAnswer(details)


def _first_input(request: BuildRequest) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return an image to try the variant on, or an empty one where there is none that can be used."""
    spec = request.model.input
    if request.sample is not None:
        try:
            return prepare(Path(request.sample.path).read_bytes(), spec).tensor
        except ConfigError:
            logger.warning("%s cannot be used to try the variant", request.sample.name)
    channels_first = spec.layout == "NCHW"
    return np.zeros((1, 3, *spec.size) if channels_first else (1, *spec.size, 3), np.float32)


def main() -> None:
    """Read the request named on the command line and write its answer."""
    die_with_parent()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    request = decode_build(Path(sys.argv[1]).read_bytes())
    answer = build(request)
    Path(request.answer).write_bytes(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
