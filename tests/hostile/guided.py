"""`python -m tests.hostile.guided "image header" --runs 50000 --seed 7`: a reader under inputs that atheris guides.

They are steered into code not reached before. The process dies, with the input in a file, when one crashes, hangs or
takes gigabytes.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import tempfile
from pathlib import Path

import atheris

# What is traced has to be imported here.
with atheris.instrument_imports(
    include=["edgedyno.core", "edgedyno.agent.runtimes", "edgedyno.controller.lab"]
):
    import edgedyno.agent.runtimes.bundle
    import edgedyno.controller.lab.inspection.inspect
    import edgedyno.controller.lab.inspection.ncnn_file
    import edgedyno.controller.lab.inspection.openvino_file
    import edgedyno.core.document
    import edgedyno.core.predictions
    import edgedyno.core.topics
    import edgedyno.core.units
    import edgedyno.core.vision.headers  # noqa: F401 - traced

from tests.hostile.targets import REFUSALS, TARGETS

GUIDED = ("image header", "predictions", "topic", "quantity", "job file", "bundle", "model file net.param",
          "model file net.xml")  # fmt: skip


def main() -> None:
    """Attack one reader; libFuzzer ends the process itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=GUIDED)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="edgedyno-guided-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    target = TARGETS[options.target]
    for number, data in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(data)
    take = target.open(folder).__enter__()  # libFuzzer never comes back to leave it

    def one(data: bytes) -> None:
        with contextlib.suppress(*REFUSALS):
            take(data)

    limits = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"]
    artifacts = f"-artifact_prefix={Path.cwd()}/hostile-crash-"
    atheris.Setup(
        [sys.argv[0], f"-runs={options.runs}", f"-seed={options.seed}", artifacts, *limits, str(corpus)], one
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
