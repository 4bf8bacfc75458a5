"""One agent for a state folder: the lock that it holds while it runs. Reads nothing in the folder."""

from __future__ import annotations

import fcntl
from typing import IO, TYPE_CHECKING

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "agent.lock"


def hold_folder(state_dir: Path) -> IO[bytes]:
    """Lock the state folder for this process. Raises ConfigError when another agent holds it."""
    file = (state_dir / LOCK).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise ConfigError(f"state_dir: another agent works in {state_dir}", code="config.in-use") from error
    return file


def is_held(state_dir: Path) -> bool:
    """Tell whether an agent works in this folder now, as far as it may be looked into."""
    try:
        with (state_dir / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
