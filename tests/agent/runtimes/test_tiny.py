"""The tiny models that probes run are what their script makes."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from edgedyno.agent.runtimes import tiny
from tests.agent.runtimes import foreign
from tests.conftest import ROOT


@pytest.mark.parametrize("kind", ["onnx", "tflite", "ncnn", "mnn"])
def test_tiny_model_is_what_its_script_makes(kind: str) -> None:
    python = sys.executable if kind in ("onnx", "ncnn") else str(foreign.interpreter())
    done = subprocess.run(
        [python, str(ROOT / "scripts/make-probe-model"), kind], check=True, capture_output=True, text=True
    )
    assert base64.b64decode(done.stdout) == getattr(tiny, kind.upper())


def test_wrong_output_is_said() -> None:
    assert tiny.complain([[2.0, 3.0]]) is None
    assert tiny.complain([[0.0, 0.0]]) == "a tiny model gives [[0.0, 0.0]], expected [[2.0, 3.0]]"
