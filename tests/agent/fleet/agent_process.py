"""Runs a real daemon on the scripted runner: a process for tests to kill."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from edgedyno.agent.lean import import_messages

import_messages()

from edgedyno.agent.config import choose_state_dir, load_config  # noqa: E402 the real daemon imports in this order
from edgedyno.agent.daemon import Daemon  # noqa: E402
from edgedyno.agent.identity import with_identity  # noqa: E402
from tests.agent.fleet.samples import CAPABILITIES  # noqa: E402

RUNNER = (sys.executable, str(Path(__file__).with_name("scripted_runner.py")))


def main() -> None:
    """Serve with the configuration in the first argument."""
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = load_config(Path(sys.argv[1]), environ={})
    state_dir = choose_state_dir(config, {})
    Daemon(with_identity(config, state_dir), state_dir, CAPABILITIES, runner_command=RUNNER).run()


if __name__ == "__main__":
    main()
