"""Runs the agent of the tests on a wall clock that steps: by as many seconds as a file beside its configuration says.

Only Python's view of the clock is changed; no other process and no kernel clock is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

_real_time, _real_time_ns, _real_gettime = time.time, time.time_ns, time.clock_gettime
_steps = Path(sys.argv[1]).with_suffix(".clock")


def offset() -> float:
    """Return by how much the wall clock is off now, in seconds."""
    return float(_steps.read_text()) if _steps.exists() else 0.0


def gettime(clock: int) -> float:
    """Read a clock; the wall clock is off."""
    return _real_gettime(clock) + (offset() if clock == time.CLOCK_REALTIME else 0.0)


if __name__ == "__main__":
    time.time = lambda: _real_time() + offset()
    time.time_ns = lambda: _real_time_ns() + int(offset() * 1e9)
    time.clock_gettime = gettime
    from tests.agent.fleet.agent_process import main

    main()
