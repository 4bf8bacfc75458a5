"""Copies of recorded boards, with variants laid over them."""

from __future__ import annotations

import shutil
from pathlib import Path

BOARDS = Path(__file__).parent.parent / "fixtures" / "boards"


def board(name: str) -> Path:
    """Return a recorded board's folder."""
    return BOARDS / name


def copy_board(name: str, folder: Path, *, variant: str | None = None) -> Path:
    """Copy a recorded board so that a test may change it, with a variant laid over it."""
    target = folder / name
    shutil.copytree(BOARDS / name, target, ignore=shutil.ignore_patterns("variants"))
    if variant is not None:
        shutil.copytree(BOARDS / name / "variants" / variant, target, dirs_exist_ok=True)
    return target


def write(path: Path, text: str) -> None:
    """Write a file, its folders too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
