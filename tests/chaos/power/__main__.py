"""`python -m tests.chaos.power --cuts 15000 --seed 7`: a table of what came of so many power cuts."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.chaos.power.cuts import simulate


def main() -> int:
    """Return 1 when anything that was promised was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--chains", type=int, default=os.cpu_count() or 1, help="lives led at the same time")
    options = parser.parse_args()
    began = time.monotonic()
    chains = [
        (options.cuts // options.chains + (number < options.cuts % options.chains), options.seed + number)
        for number in range(options.chains)
    ]
    outcomes: Counter[str] = Counter()
    with ProcessPoolExecutor(initializer=logging.disable, initargs=(logging.ERROR,)) as pool:
        for found in pool.map(simulate, *zip(*chains, strict=True)):
            outcomes += found
    print(f"seed {options.seed}: {sum(outcomes.values())} power cuts in {time.monotonic() - began:.0f} s")
    for name in ("kept", "lost or changed", "artifact lost", "corrupt"):
        print(f"{name:16} {outcomes[name]:6}")
    return int(set(outcomes) != {"kept"})


if __name__ == "__main__":
    sys.exit(main())
