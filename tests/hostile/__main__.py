"""`python -m tests.hostile --inputs 1000000 --seed 7`: hostile inputs to every reader, and a table."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from tests.hostile.campaign import Account, attack, encode, limit_memory, write_crashes
from tests.hostile.targets import TARGETS
from tests.options import count, name_of

MOST_GROWTH_BYTES = 32 << 20
_MIB = 1 << 20


def main() -> int:
    """Return 1 when anything crashed, hung or grew."""
    parser = argparse.ArgumentParser(prog="./scripts/hostile", description=__doc__)
    parser.add_argument("--inputs", type=count(), default=1_000_000)
    parser.add_argument("--seed", type=count(0), default=7)
    parser.add_argument("--jobs", type=count(), default=2, help="targets at one time")
    parser.add_argument("--target", action="append", type=name_of(TARGETS), help="only these")
    parser.add_argument(
        "--crashes", type=Path, default=Path("hostile-crashes"), help="folder for inputs that crash"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return _child(options)
    names = options.target or list(TARGETS)
    shares = sum(TARGETS[name].weight for name in names)
    counts = {name: -(-int(options.inputs * TARGETS[name].weight) // max(1, int(shares))) for name in names}
    print(f"seed {options.seed}, {sum(counts.values())} inputs to {len(names)} readers")
    print(
        f"{'reader':28} {'inputs':>9} {'refused':>9} {'per s':>7} {'slowest s':>9} {'grew MiB':>8} {'crashes':>7}"
    )
    with ThreadPoolExecutor(options.jobs) as pool:
        accounts = list(pool.map(lambda name: _attack(name, counts[name], options), names))
    inputs = sum(each.inputs for each in accounts)
    crashed = sum(len(each.crashes) for each in accounts)
    grew = [each.target for each in accounts if each.growth_bytes > MOST_GROWTH_BYTES]
    print(f"{inputs} inputs, {crashed} crashed or hung, {len(grew)} readers grew by more than 32 MiB")
    return int(bool(crashed or grew))


def _attack(name: str, inputs: int, options: argparse.Namespace) -> Account:
    command = [sys.executable, "-m", "tests.hostile", "--child", name, "--inputs", str(inputs)]
    command += ["--seed", str(options.seed), "--crashes", str(options.crashes)]
    done = subprocess.run(command, capture_output=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.decode(errors="replace")[-2000:]
        print(f"{name}: the process died with {done.returncode}: {said}")
        return msgspec.convert(
            {"target": name, "crashes": [{"number": -1, "data": "", "text": said}]}, Account
        )
    account = msgspec.json.decode(lines[-1], type=Account)
    _show(account)
    return account


def _show(account: Account) -> None:
    rate = account.inputs / max(account.seconds, 1e-9)
    print(
        f"{account.target:28} {account.inputs:9} {account.refused:9} {rate:7.0f} {account.slowest_seconds:9.3f} "
        f"{account.growth_bytes / _MIB:8.1f} {len(account.crashes):7}",
        flush=True,
    )
    for crash in account.crashes:
        print(crash.text)


def _child(options: argparse.Namespace) -> int:
    import logging

    logging.disable(logging.CRITICAL)
    limit_memory()
    shared = Path("/dev/shm")  # a database there is quick
    with tempfile.TemporaryDirectory(
        dir=shared if shared.is_dir() else None, prefix="edgedyno-hostile-"
    ) as folder:
        account = attack(TARGETS[options.child], Path(folder), inputs=options.inputs, seed=options.seed)
    write_crashes(account, options.crashes)
    sys.stdout.buffer.write(encode(account) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
