"""Remember which files of /proc and /sys were there and could not be used, while someone listens.

The readers go on without such a file; this is how its name reaches the user all the same. Not responsible for
what is read, nor for judging it.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_NAMED = 20  # A tree full of garbage has hundreds; the first ones tell what kind of trouble it is.
MOST_SHOWN = 40  # characters of what a file holds
_heard: ContextVar[dict[str, str] | None] = ContextVar("problems", default=None)


@contextmanager
def listening() -> Iterator[dict[str, str]]:
    """Collect problems by path while the block runs."""
    found: dict[str, str] = {}
    token = _heard.set(found)
    try:
        yield found
    finally:
        _heard.reset(token)


def note(path: Path | str, reason: str) -> None:
    """Say that a file could not be used; costs next to nothing while nobody listens."""
    found = _heard.get()
    if found is not None:
        found.setdefault(str(path), reason)


def note_content(path: Path | str, text: str, expected: str) -> None:
    """Say that a file holds something else than was expected."""
    if _heard.get() is not None:
        shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
        note(path, f"holds {shown!r}, expected {expected}" if text else f"is empty, expected {expected}")


def problem_lines(found: dict[str, str], root: Path) -> list[str]:
    """Return the problems as lines, with paths as the board itself has them."""
    prefix = str(root).rstrip("/")
    lines = [f"{path.removeprefix(prefix)}: {reason}" for path, reason in found.items()]
    if len(lines) <= MOST_NAMED:
        return lines
    return [*lines[:MOST_NAMED], f"and {len(lines) - MOST_NAMED} more files"]
