"""`python -m tests.chaos.fleet --seed 7 --faults 1000`: a table of faults and what they did."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.fleet.run import Account, hurt


def main() -> int:
    """Return 1 when anything was lost, doubled, stuck or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--boards", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep all files and logs in this folder")
    options = parser.parse_args()
    tell = _progress if sys.stderr.isatty() else lambda _: None
    with tempfile.TemporaryDirectory(prefix="edgedyno-chaos-") as folder:
        place = options.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        account = hurt(place, faults=options.faults, seed=options.seed, boards=options.boards, tell=tell)
    _show(account, options.seed)
    return int(not account.whole)


def _progress(words: str) -> None:
    sys.stderr.write(f"\r{words}\033[K")


def _show(account: Account, seed: int) -> None:
    print(f"seed {seed}: {account.faults.total()} faults in {account.seconds:.0f} s")
    for kind, count in account.faults.most_common():
        print(f"  {kind:30} {count:5}")
    print(f"executions {sum(account.executions.values())}, results {account.results}")
    for state, count in account.executions.most_common():
        print(f"  {state:30} {count:5}")
    for name in ("lost", "doubled", "stuck", "orphans"):
        for one in getattr(account, name):
            print(f"  {name}: {one}")
    print(f"lost {len(account.lost)}, doubled {len(account.doubled)}, stuck {len(account.stuck)}, "
          f"left behind {len(account.orphans)}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
