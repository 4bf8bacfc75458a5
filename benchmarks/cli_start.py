"""How long `edgedyno --help` takes, beside a bare Python start in the same run. Goal: <= 0.3 s."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "edgedyno --help": [sys.executable, "-m", "edgedyno.cli.main", "--help"],
    "edgedyno agent --help": [sys.executable, "-m", "edgedyno.cli.main", "agent", "--help"],
}


def seconds(command: list[str]) -> float:
    """Return the wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Interleave the commands and print medians and ranges."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    base = statistics.median(taken["python -c pass"])
    for name, values in taken.items():
        middle = statistics.median(values)
        print(
            f"{name:24} {middle:6.3f} s  (min {min(values):.3f}, max {max(values):.3f}, x{middle / base:.1f})"
        )


if __name__ == "__main__":
    main()
