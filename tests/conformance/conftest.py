"""One workshop for all tests of this folder: variants are built once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.here import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return the workshop; EDGEDYNO_CONFORMANCE names a folder that keeps what is built for the next time."""
    kept = os.environ.get("EDGEDYNO_CONFORMANCE")
    return Workshop(Path(kept) if kept else tmp_path_factory.mktemp("workshop"))
