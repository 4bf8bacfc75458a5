"""Runs a real daemon on the scripted runner: a process for tests to kill."""

from __future__ import annotations

import faulthandler
import logging
import sys
from pathlib import Path

from edgedyno.agent.config import choose_state_dir, load_config
from edgedyno.agent.daemon import Daemon
from tests.agent.fleet.samples import CAPABILITIES

RUNNER = (sys.executable, str(Path(__file__).with_name("scripted_runner.py")))


def main() -> None:
    """Serve with the configuration in the first argument."""
    faulthandler.enable()
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = load_config(Path(sys.argv[1]), environ={})
    Daemon(config, choose_state_dir(config, {}), CAPABILITIES, runner_command=RUNNER).run()


if __name__ == "__main__":
    main()
