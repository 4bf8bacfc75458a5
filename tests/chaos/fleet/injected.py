"""Starts an agent, a runner or a controller with what the chaos run puts into it: `python -m ... ROLE ARGUMENTS`.

Wall clock and boot id come from files that the run may change; the agent writes a ledger of the results that it
keeps; and a variant may be broken on purpose (`breakage`). The product knows nothing of any of this.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import runpy
import struct
import sys
import time
import types
from pathlib import Path

CLOCK, BOOT, LEDGER, BREAK = (
    "EDGEDYNO_CHAOS_CLOCK",
    "EDGEDYNO_CHAOS_BOOT",
    "EDGEDYNO_CHAOS_LEDGER",
    "EDGEDYNO_CHAOS_BREAK",
)
ME = [sys.executable, "-m", "tests.chaos.fleet.injected"]


def _step_clock() -> None:
    """Let the wall clock that Python code reads follow the file of offsets; the log keeps the real one."""
    if CLOCK not in os.environ:
        return
    logging.time = types.SimpleNamespace(**vars(time))  # type: ignore[attr-defined]
    with Path(os.environ[CLOCK]).open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real = time.time
    time.time = lambda: real() + struct.unpack("d", offset[:8])[0]
    time.time_ns = lambda: int(time.time() * 1e9)


def _boot() -> None:
    """Take on the boot of the file: its id, and a monotonic clock that began with it."""
    file = Path(os.environ.get(BOOT, "/nonexistent"))
    if not file.exists():
        return
    boot = json.loads(file.read_text())
    real = time.monotonic
    time.monotonic = lambda: real() - boot["began"]
    from edgedyno.agent import inventory, journal

    # What the board has does not change with its boots; looking again would take most of the run's time.
    vars(inventory)["read_boot_id"] = lambda: "the same board"
    journal.read_boot_id.__defaults__ = (boot["file"],)


def _serve_board(config: str) -> None:
    from edgedyno.agent.lean import import_messages

    import_messages()
    _boot()
    from edgedyno.agent.daemon import Daemon
    from edgedyno.agent.main import main
    from tests.chaos.fleet import breakage, ledger

    Daemon.__init__.__kwdefaults__["runner_command"] = (*ME, "runner")  # type: ignore[index]
    ledger.keep(Path(os.environ[LEDGER]))
    breakage.spoil_agent(os.environ.get(BREAK, ""))
    sys.exit(main(["run", "--config", config]))


def _serve_fleet(config: str) -> None:
    from edgedyno.cli.main import main
    from tests.chaos.fleet import breakage

    breakage.spoil_controller(os.environ.get(BREAK, ""))
    sys.argv = ["edgedyno", "controller", "run", "--config", config]
    sys.exit(main())


def start() -> None:
    """Become what the first argument says."""
    role, *arguments = sys.argv[1:]
    _step_clock()
    if role == "agent":
        _serve_board(arguments[0])
    elif role == "controller":
        _serve_fleet(arguments[0])
    else:
        sys.argv = ["edgedyno.agent.measure", *arguments]
        runpy.run_module("edgedyno.agent.measure", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    start()
