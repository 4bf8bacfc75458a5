"""The precision that was asked for, and the one that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedyno.core.result import Result


def ran_otherwise(result: Result) -> str | None:
    """Return what ran instead of what the variant is named after; None where it is that, or is not known."""
    ran = result.effective_precision
    return None if ran in (None, "", "unknown", result.precision) else ran


def name_precision(result: Result) -> str:
    """Write the precision in capitals with the variant's name, and what ran instead: `FP16 (ran FP32)`."""
    ran = ran_otherwise(result)
    asked = f"{result.precision.upper()} {result.variant}".rstrip()
    return asked if ran is None else f"{asked} (ran {ran if ran == 'mixed' else ran.upper()})"
