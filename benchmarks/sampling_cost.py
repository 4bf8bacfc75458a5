"""What sampling costs: CPU seconds for each second of every sensor of the recorded boards, at its default rate.

Usage: python benchmarks/sampling_cost.py [--reads N]. Programs (vcgencmd, ipmitool) are files here: a real one costs
its own start besides, which this cannot see.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import locate
from edgedyno.agent.measure.meter import Meter
from edgedyno.agent.sensors.base import Available
from edgedyno.agent.sensors.registry import probe_sensors

BOARDS = Path(__file__).parent.parent / "tests/fixtures/boards"
BOUND = 0.001  # of one core


def cost(meter: Meter, reads: int) -> float:
    """Return CPU seconds of one reading."""
    began = time.process_time()
    for _ in range(reads):
        meter.sensor.read()
    return (time.process_time() - began) / reads


def main() -> None:
    """Print a row for each sensor of each board."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=300)
    options = parser.parse_args()
    sys.stdout.write(f"{'board':18} {'sensor':16} {'readings/s':>10} {'CPU s/s':>10}\n")
    for tree in sorted(BOARDS.iterdir()):
        if not (tree / "rootfs").is_dir():
            continue
        place = locate(tree)
        for each in probe_sensors(place, read_board(place).profile):
            if each.sensor is None or not isinstance(each.found, Available):
                continue
            meter = Meter(each.sensor, each.found)
            rate = 1 / meter.period_seconds
            share = cost(meter, options.reads) * rate
            verdict = "" if share <= BOUND else f"  above {BOUND:.1%} of a core"
            sys.stdout.write(f"{tree.name:18} {each.source:16} {rate:10.1f} {share:10.6f}{verdict}\n")


if __name__ == "__main__":
    main()
