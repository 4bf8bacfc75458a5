"""The runner as a process: `python -m edgedyno.agent.measure REQUEST.json`.

Events go out as JSON lines on the original stdout; whatever else is printed ends up on stderr. SIGTERM stops.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.run import RunRequest, encode_event

if TYPE_CHECKING:
    from edgedyno.core.run import Event


def main(arguments: list[str]) -> int:
    """Run the request in the file that is named; return 0, or 2 for a request that cannot be read."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        request = msgspec.json.decode(Path(arguments[0]).read_bytes(), type=RunRequest)
    except (IndexError, OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"expected the path of a run request as JSON: {error}\n")
        return 2
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def emit(event: Event) -> None:
        events.write(encode_event(event) + b"\n")

    from edgedyno.agent.measure.runner import run

    with events:
        run(request, emit, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
