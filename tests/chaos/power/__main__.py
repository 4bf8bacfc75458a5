"""`python -m tests.chaos.power --cuts 15000 --seed 7`: a table of what came of so many power cuts."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.chaos.power.cuts import simulate


def main() -> int:
    """Return 1 when anything that was promised was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # scripted refusals
    began = time.monotonic()
    outcomes = simulate(options.cuts, options.seed)
    print(f"seed {options.seed}: {sum(outcomes.values())} power cuts in {time.monotonic() - began:.0f} s")
    for name in ("kept", "lost or changed", "artifact lost", "corrupt"):
        print(f"{name:16} {outcomes[name]:6}")
    return int(set(outcomes) != {"kept"})


if __name__ == "__main__":
    sys.exit(main())
