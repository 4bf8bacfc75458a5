"""What pip wrote in real failures, and what users are told of it."""

from __future__ import annotations

import pytest

from edgedyno.agent.provision.installing import explain
from edgedyno.core.errors import RetryableError

# As pip 23.2.1 wrote them.
NO_VERSION = """\
ERROR: Could not find a version that satisfies the requirement ncnn==1.0.20260527 (from versions: \
1.0.20260114, 1.0.20260526, 1.0.20261020)
ERROR: No matching distribution found for ncnn==1.0.20260527"""
NO_PACKAGE = """\
ERROR: Could not find a version that satisfies the requirement nnccnn==1.0 (from versions: none)
ERROR: No matching distribution found for nnccnn==1.0"""
NO_INDEX = """\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError': /simple/ncnn/
ERROR: Could not find a version that satisfies the requirement ncnn==1.0.20260526 (from versions: none)
ERROR: No matching distribution found for ncnn==1.0.20260526"""
NO_SPACE = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (
            NO_VERSION,
            "environment.package",
            (
                "pip found no package ncnn==1.0.20260527; it has 1.0.20260114, 1.0.20260526, 1.0.20261020; "
                "did you mean '1.0.20260526'?"
            ),
        ),
        (
            NO_PACKAGE,
            "environment.package",
            "pip found no package nnccnn==1.0; it has none for this Python and architecture",
        ),
        (NO_INDEX, "environment.index", "pip cannot reach the package index: ERROR: No matching"),
        (NO_SPACE, "environment.disk", "pip found no space left on the device"),
        ("Collecting x\n  strange\n", "environment.pip", "pip ended with code 1: strange"),
        ("", "environment.pip", "pip ended with code 1: it said nothing"),
    ],
)
def test_the_cause_is_told(said: str, code: str, text: str) -> None:
    error = explain(said.splitlines(), 1)
    assert error.code == code
    assert str(error).startswith(text)
    assert isinstance(error, RetryableError) == (code == "environment.index")
