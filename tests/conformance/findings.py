"""What the tests saw, as one table at the end of a run: how near each variant is, and what it scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.measure.planner import Cell

COLUMNS = ("model", "runtime", "format", "asked", "ran", "SQNR dB", "cosine", "score", "on")
Key = tuple[str, str, str, str]
_seen: dict[Key, dict[str, Any]] = {}


def note(model: str, cell: Cell, **found: Any) -> None:
    """Remember figures of one variant on one runtime; what two tests see of it becomes one row."""
    runtime = f"{cell.runtime} {cell.runtime_version}"
    _seen.setdefault((model, runtime, cell.variant.format, cell.variant.precision), {}).update(found)


def rows() -> list[tuple[str, ...]]:
    """Return the table's rows in a fixed order."""
    return [
        (
            *key,
            str(found.get("ran", "")),
            _decibels(found["sqnr_db"]) if "sqnr_db" in found else "",
            f"{found['cosine']:.5f}" if "cosine" in found else "",
            f"{found['score']:.3f}" if "score" in found else "",
            str(found.get("on", "")),
        )
        for key, found in sorted(_seen.items())
    ]


def _decibels(ratio: float | None) -> str:
    """Return it in words; infinity comes back from JSON as null."""
    return f"{ratio:.1f}" if ratio is not None and math.isfinite(ratio) else "equal"


def merge(path: Path) -> None:
    """Add what earlier runs left in the file, and leave all of it there for the next."""
    if path.exists():
        for key, found in msgspec.json.decode(path.read_bytes(), type=list[tuple[Key, dict[str, Any]]]):
            _seen[key] = {**found, **_seen.get(key, {})}
    path.write_bytes(msgspec.json.encode(sorted(_seen.items())))
