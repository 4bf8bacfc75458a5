"""Runs a real controller whose time of day is ahead of this machine's by the seconds in a file. For tests only."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sys
from pathlib import Path

from edgedyno.controller.config import load_config
from edgedyno.controller.main import serve
from edgedyno.controller.service import Service


def main() -> None:
    """Serve with the configuration in the first argument and the clock of the second."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    offset = Path(sys.argv[2])

    def utc() -> dt.datetime:
        return dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=float(offset.read_text()))

    asyncio.run(serve(Service(load_config(Path(sys.argv[1]), environ={}), utc=utc)))


if __name__ == "__main__":
    main()
