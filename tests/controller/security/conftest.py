"""Fixtures of the identities' tests: a CA made for the test, and clients that it has or has not signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.controller.security.authority import Authority
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a new CA."""
    return Authority.ensure(tmp_path / "ca")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Return a migrated database."""
    opened = Database(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    migrate(opened.engine)
    yield opened
    opened.close()
