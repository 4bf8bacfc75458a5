"""So many power cuts in several lives led at the same time, and a table of what came of them."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.chaos.power.cuts import simulate


def cut(cuts: int, seed: int) -> bool:
    """Return whether everything that was promised was kept."""
    lives = min(cuts, os.cpu_count() or 1)
    began = time.monotonic()
    chains = [(cuts // lives + (number < cuts % lives), seed + number) for number in range(lives)]
    outcomes: Counter[str] = Counter()
    with ProcessPoolExecutor(initializer=logging.disable, initargs=(logging.ERROR,)) as pool:
        for found in pool.map(simulate, *zip(*chains, strict=True)):
            outcomes += found
    print(f"seed {seed}: {sum(outcomes.values())} power cuts in {time.monotonic() - began:.0f} s")
    for name in ("kept", "lost or changed", "artifact lost", "corrupt"):
        print(f"{name:16} {outcomes[name]:6}")
    return set(outcomes) == {"kept"}
