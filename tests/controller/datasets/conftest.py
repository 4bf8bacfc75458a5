"""A store of its own for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.lab.files import ContentStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    """Return an empty store."""
    return ContentStore(tmp_path / "store")
