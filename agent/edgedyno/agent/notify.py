"""systemd's notification protocol (sd_notify(3)): one datagram for each word; silent where systemd did not start us."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Tells systemd that the agent is ready, alive, stopping."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(environ)

    def tell(self, *words: str) -> None:
        """Send assignments such as READY=1; a lost one is systemd's to notice."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto("\n".join(words).encode(), self._address)
        except OSError:
            return


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return how often to be alive: half of what systemd allows, as sd_watchdog_enabled(3) advises."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2e6
