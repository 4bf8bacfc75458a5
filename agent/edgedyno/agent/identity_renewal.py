"""When the board's certificate is renewed, and the short-lived child that does it. The daemon asks it for its times.

Keys are made in a child of its own: the library that does it would double the idle daemon.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from edgedyno.agent.events import AnyWake, Renewed
from edgedyno.agent.identity import read_identity, renewal_at_unix

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

NEVER = float("inf")
# The wall clock may step, and certificates are checked by it: it is looked at again after this.
LOOK_AGAIN_SECONDS = 3600.0
CHILD_SECONDS = 120.0
# After a failure: again after this part of the certificate's life, within these bounds.
AGAIN_SHARE, AGAIN_LEAST_SECONDS, AGAIN_MOST_SECONDS = 1 / 60, 1.0, 6 * 3600.0
# So near its end it is renewed even while something is measured.
URGENT_SHARE = 0.1


class Renewal:
    """Watches one certificate; without an identity it never has anything to do."""

    def __init__(
        self,
        state_dir: Path,
        deliver: Callable[[AnyWake], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._state_dir = state_dir
        self._deliver = deliver
        self._clock = clock
        self._wall = wall
        self._child: threading.Thread | None = None
        self._identity = read_identity(state_dir)
        self._look_at = NEVER if self._identity is None else clock()

    def deadline(self) -> float:
        """Return when `tick` has something to do, on the daemon's clock."""
        return NEVER if self._child is not None else self._look_at

    def tick(self, *, quiet: bool) -> None:
        """Start the child when it is time; in `quiet`, while something is measured, only when it is urgent."""
        if self._identity is None or self._child is not None or self._clock() < self._look_at:
            return
        left = renewal_at_unix(self._identity) - self._wall()
        if left > 0:
            self._look_at = self._clock() + min(left, LOOK_AGAIN_SECONDS)
        elif quiet and not self._urgent():
            self._look_at = self._clock() + self._again_seconds()
        else:
            self._child = threading.Thread(target=self._run, name="renewal", daemon=True)
            self._child.start()

    def renewed(self, wake: Renewed) -> bool:
        """Take the child's end in; return whether there is a new certificate."""
        self._child = None
        if wake.error is not None:
            self._look_at = self._clock() + self._again_seconds()
            log.warning("the certificate was not renewed: %s", wake.error)
            return False
        self._identity = read_identity(self._state_dir)
        self._look_at = self._clock()
        log.info("the certificate is renewed")
        return True

    def _urgent(self) -> bool:
        if self._identity is None:
            return False
        life = self._identity.expires_at_unix - self._identity.issued_at_unix
        return self._identity.expires_at_unix - self._wall() < life * URGENT_SHARE

    def _again_seconds(self) -> float:
        if self._identity is None:
            return NEVER
        life = self._identity.expires_at_unix - self._identity.issued_at_unix
        return min(max(life * AGAIN_SHARE, AGAIN_LEAST_SECONDS), AGAIN_MOST_SECONDS)

    def _run(self) -> None:
        self._deliver(Renewed(self._renew()))

    def _renew(self) -> str | None:
        command = [sys.executable, "-m", "edgedyno.agent.main", "enroll", "--renew", "--log-level", "error"]
        command += ["--state-dir", str(self._state_dir)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=CHILD_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if done.returncode == 0:
            return None
        return done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
