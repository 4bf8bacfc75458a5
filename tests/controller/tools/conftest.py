from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controller.tools.building import images, two_heads

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return two_heads(folder / "model.onnx")


@pytest.fixture(scope="module")
def calibration(folder: Path) -> list[Path]:
    return images(folder)
