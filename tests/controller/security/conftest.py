"""Fixtures of the identities' tests: a CA made for the test, and clients that it has or has not signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.security.authority import Authority

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a new CA."""
    return Authority.ensure(tmp_path / "ca")
