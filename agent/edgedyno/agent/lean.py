"""Keeps the daemon small: imports without what is not needed, and gives freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def import_messages() -> None:
    """Import msgspec without `typing_extensions`: 7 MB that `typing` makes unnecessary.

    msgspec itself falls back to `typing`. The module is only hidden meanwhile; a later import finds it.
    """
    with _hidden("typing_extensions"):
        importlib.import_module("msgspec")


def return_memory() -> None:
    """Give the C library's free blocks back: importing paho and running an execution leave 4 MB of them.

    Does nothing where the C library cannot (musl).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
