"""Faults of all kinds, done to a fleet with one controller and to one with two, and a table of what they did."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.fleet.account import Account
from tests.chaos.fleet.run import Order, hurt

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> bool:
    """Return whether nothing was lost, doubled, stuck or left behind."""
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # cables and disks are taken away first
    folder = options.keep or Path(tempfile.mkdtemp(prefix="edgedyno-chaos-"))
    account = Account()
    print(f"seed {options.seed}, files in {folder}", flush=True)
    to_replicas = round(options.faults * options.replicas)
    for replicas, faults in ((False, options.faults - to_replicas), (True, to_replicas)):
        if faults:
            place = folder / ("replicas" if replicas else "one")
            place.mkdir(parents=True)
            order = Order(
                faults=faults, seed=options.seed, boards=options.boards, replicas=replicas,
                only=frozenset(options.kind) if options.kind else None, variant=options.broken or "",
                mean_wait_seconds=options.wait,
            )  # fmt: skip
            account.add(hurt(place, order, tell=_progress))
    _show(account)
    if account.whole and options.keep is None:
        shutil.rmtree(folder)
    elif not account.whole:
        print(f"logs and faults.jsonl are in {folder}")
    return account.whole


def _progress(words: str) -> None:
    if words.endswith("\n"):
        sys.stderr.write(words)
    elif sys.stderr.isatty():
        sys.stderr.write(f"\r{words}\033[K")
    elif " of " in words and words.partition(" ")[0].endswith("0"):
        sys.stderr.write(words + "\n")


def _show(account: Account) -> None:
    print(f"{account.faults.total()} faults in {account.seconds:.0f} s")
    for kind, count in account.faults.most_common():
        missed = account.missed[kind]
        print(
            f"  {kind:32} {count:5}"
            + (f"  ({missed} more could not happen when their time came)" if missed else "")
        )
    print(f"executions {account.executions.total()} in {account.attempts} attempts")
    _counts(account.executions)
    print(f"results promised by agents {account.promised}, in the store {account.results}")
    _counts(account.flags)
    print("operator")
    _counts(account.operator)
    print("memory at the beginning and at the end, MiB")
    for name, (begin, end) in account.memory.items():
        print(f"  {name:32} {begin >> 20:5} {end >> 20:5}")
    for name in ("ends", "lost", "doubled", "stuck", "left_behind", "grown", "crashed"):
        for one in getattr(account, name):
            print(f"  {name.replace('_', ' ')}: {one}")
    print(
        f"left behind {len(account.left_behind)}, ended by themselves {len(account.ends)}, grown {len(account.grown)}"
    )
    print(f"lost {len(account.lost)}, doubled {len(account.doubled)}, stuck {len(account.stuck)}")


def _counts(counts: dict[str, int]) -> None:
    for name, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        print(f"  {name:32} {count:5}")
