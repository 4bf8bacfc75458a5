"""`./scripts/chaos --seed 7 --faults 1000`: cut the power under an agent's files, then hurt a running fleet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests import options as values
from tests.chaos.fleet import breakage, campaign
from tests.chaos.fleet.faults import KINDS
from tests.chaos.power.campaign import cut

# Of the faults, those done to a fleet with two controllers on one PostgreSQL.
REPLICAS_SHARE = 0.25


def main() -> int:
    """Return 1 when anything was lost, doubled, stuck or left behind."""
    options = _options()
    kept = cut(options.cuts, options.seed) if options.cuts else True
    whole = campaign.run(options) if options.faults else True
    if not (kept and whole):
        print(f"again: ./scripts/chaos {' '.join(sys.argv[1:])}")
    return int(not (kept and whole))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./scripts/chaos", description=__doc__)
    add = parser.add_argument
    add("--seed", type=values.count(0), default=7)
    add("--cuts", type=values.count(0), default=15_000, help="power cuts; 0: none (%(default)s)")
    add("--faults", type=values.count(0), default=1000, help="done to the fleet; 0: none (%(default)s)")
    add("--boards", type=values.count(), default=5, help="of the fleet (%(default)s)")
    add(
        "--kind",
        type=values.name_of(KINDS),
        action="append",
        help="only this kind of fault; may be given again",
    )
    add(
        "--replicas",
        type=values.share,
        default=REPLICAS_SHARE,
        help="share of faults done to two controllers",
    )
    add("--wait", type=values.duration_seconds, default=0.7, help="mean seconds between two faults")
    add(
        "--broken",
        type=values.name_of(breakage.VARIANTS),
        help="run a variant that is broken on purpose",
    )
    add("--keep", type=Path, help="a new folder for all files and logs")
    options = parser.parse_args()
    if options.keep and options.keep.exists() and any(options.keep.iterdir()):
        parser.error(f"argument --keep: {options.keep} holds files, expected a new folder")
    return options


if __name__ == "__main__":
    sys.exit(main())
