"""What the doctor says about one thing that it looked at."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Status = Literal["ok", "info", "warn", "fail"]
"""info: known to move figures, and often meant so; warn: to be mended; fail: nothing can be measured like this."""


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    status: Status
    text: str
    remedy: str | None = None
