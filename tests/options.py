"""Values of options that are checked before a long run begins."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgedyno.core.document import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def count(least: int = 1) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, at least {least}")
        return int(text)

    return read


def share(text: str) -> float:
    """Return a number between 0 and 1."""
    return _number(text, 0.0, 1.0)


def duration_seconds(text: str) -> float:
    """Return a number of seconds, at most an hour."""
    return _number(text, 0.0, 3600.0)


def name_of(known: Iterable[str]) -> Callable[[str], str]:
    """Return a reader of one of the known names, which tells the nearest."""
    names = tuple(known)

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected one of: {' | '.join(names)}{nearest(text, names)}"
            )
        return text

    return read


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from {least:g} to {most:g}")
    return number
