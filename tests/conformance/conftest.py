"""One workshop for all tests of this folder: variants are built once. At the end, the table of what was seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance import findings
from tests.conformance.here import Workshop

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

# A folder that keeps what is built, and the table's rows, for the next time.
KEPT = os.environ.get("EDGEDYNO_CONFORMANCE")


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return the workshop, in EDGEDYNO_CONFORMANCE where that is set."""
    return Workshop(Path(KEPT) if KEPT else tmp_path_factory.mktemp("workshop"))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the table in Markdown."""
    if KEPT and Path(KEPT).is_dir():
        findings.merge(Path(KEPT) / "findings.json")
    rows = findings.rows()
    if rows:
        terminalreporter.section("runtimes and variants")
        for cells in (findings.COLUMNS, ["---"] * len(findings.COLUMNS), *rows):
            terminalreporter.write_line("| " + " | ".join(cells) + " |")
