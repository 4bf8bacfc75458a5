"""What an idle agent costs: memory and wake-ups, beside a bare Python in the same run.

Goals: <= 30 MB resident, <= 2 voluntary context switches a second.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.system.fleet import Fleet

SETTLE_SECONDS = 5.0
WATCH_SECONDS = 30.0


def status(pid: int) -> tuple[float, float, int]:
    """Return resident and proportional memory in MB, and voluntary switches of all threads."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, pss = (int(re.search(rf"^{key}:\s+(\d+)", rollup, re.MULTILINE)[1]) / 1e3 for key in ("Rss", "Pss"))  # type: ignore[index]
    switches = sum(
        int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", path.read_text(), re.MULTILINE)[1])  # type: ignore[index]
        for path in Path(f"/proc/{pid}/task").glob("*/status")
    )
    return rss, pss, switches


def watch(name: str, pid: int) -> None:
    """Print what a process costs while it is left alone."""
    _, _, before = status(pid)
    started = time.monotonic()
    time.sleep(WATCH_SECONDS)
    rss, pss, after = status(pid)
    rate = (after - before) / (time.monotonic() - started)
    print(f"{name:16} RSS {rss:5.1f} MB   PSS {pss:5.1f} MB   {rate:5.2f} voluntary switches/s")


def main() -> None:
    """Start a fleet, let it settle, watch the agent."""
    bare = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Path(folder))
        try:
            fleet.start_all()
            time.sleep(SETTLE_SECONDS)
            watch("bare Python", bare.pid)
            watch("idle agent", fleet.pid("agent"))
        finally:
            fleet.stop_all()
            bare.kill()
            bare.wait()


if __name__ == "__main__":
    main()
