"""A running fleet for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Start broker, controller and agent; stop them afterwards."""
    fleet = Fleet(tmp_path)
    try:
        fleet.start_all()
        yield fleet
    finally:
        fleet.stop_all()


@pytest.fixture
def quick_job(tmp_path: Path) -> Path:
    """Write a job that takes some seconds: FastestDet in three precisions at one and all threads."""
    path = tmp_path / "quick.yaml"
    path.write_text(
        "name: quick\nmodel: fastestdet\ndataset: coco_ccby\n"
        "sweep: {precisions: [fp32, fp16, int8], threads: [1, all]}\n"
        "measure: {precision: 20%, max_seconds: 8}\n"
    )
    return path
