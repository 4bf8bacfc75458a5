"""The real service with a scripted lab, as a process: `python -m tests.simulated.controller CONFIG.json`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import msgspec

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.main import serve, set_up_process
from edgedyno.controller.service import Service
from tests.controller.service.standins import ScriptedLaboratory


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.WARNING)
    set_up_process()
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ControllerConfig)
    service = Service(config, laboratory=ScriptedLaboratory(), needs_reduce_range=lambda _features: False)
    asyncio.run(serve(service))


if __name__ == "__main__":
    main()
