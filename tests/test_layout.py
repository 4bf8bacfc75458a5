"""The house rules that no other tool checks."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT

ROOTS = ("core", "agent", "controller", "cli", "profiles")


@pytest.mark.parametrize("root", ROOTS)
def test_a_namespace_root_has_no_init(root: str) -> None:
    """One stray file would make the other roots un-importable."""
    assert not (ROOT / root / "edgedyno" / "__init__.py").exists()
    assert [
        entry.name for entry in (ROOT / root / "edgedyno").iterdir() if not entry.name.startswith("__")
    ] == [root]
