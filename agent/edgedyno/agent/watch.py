"""Starts the runner of one execution and sees to it that it ends: by itself, asked, or killed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.files import write_durably
from edgedyno.agent.process import RunnerProcess, end_orphan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedyno.agent.events import AnyWake, RunnerGone, RunnerSaid
    from edgedyno.core.run import AnyEvent, RunRequest

log = logging.getLogger(__name__)

# A runner that was asked to stop ends the burst it is in and tells its results; then its group is killed.
GRACE_SECONDS = 10.0
NEVER = float("inf")


class Watch:
    """At most one runner at a time, in the folder of one execution."""

    def __init__(
        self,
        folder: Path,
        *,
        command: Sequence[str],
        deliver: Callable[[AnyWake], None],
        clock: Callable[[], float],
        silence_seconds: float,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._request = folder / "request.json"
        self._lock = folder / "runner.lock"
        self._command = command
        self._deliver = deliver
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._grace_seconds = grace_seconds
        self._process: RunnerProcess | None = None
        self._runs = 0
        self._kill_at = NEVER
        self.killed_because: str | None = None
        """Why the present or last runner had to be killed."""

    @property
    def alive(self) -> bool:
        """Whether a runner runs."""
        return self._process is not None

    def clear(self) -> None:
        """End a runner that an earlier daemon left behind."""
        end_orphan(self._request, self._lock)

    def start(self, request: RunRequest) -> None:
        """Write the request and start a runner on it. Raises RunError."""
        self.clear()
        write_durably(self._request, msgspec.json.encode(request))
        self._runs += 1
        self.killed_because = None
        self._process = RunnerProcess.start(
            self._command, self._request, self._lock, run=self._runs, deliver=self._deliver
        )
        self._kill_at = self._clock() + self._silence_seconds

    def heard(self, said: RunnerSaid) -> AnyEvent | None:
        """Take a line of the present runner; None for a line of an earlier one."""
        if self._process is None or said.run != self._process.run:
            return None
        self._process.handled()
        if self.killed_because is None:
            self._kill_at = self._clock() + self._silence_seconds
        return said.event

    def gone(self, event: RunnerGone) -> bool:
        """Take the end of the present runner; False for an earlier one."""
        if self._process is None or event.run != self._process.run:
            return False
        self._process = None
        self._kill_at = NEVER
        return True

    def stop(self, reason: str) -> None:
        """Ask the runner to stop; it is killed when it does not within the grace."""
        if self._process is not None and self.killed_because is None:
            self.killed_because = reason
            self._process.terminate()
            self._kill_at = self._clock() + self._grace_seconds

    def expect_end(self) -> None:
        """Give a runner that said its last word the grace to end."""
        self._kill_at = min(self._kill_at, self._clock() + self._grace_seconds)

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        return self._kill_at

    def tick(self) -> None:
        """Kill the runner if its time is up."""
        if self._process is None or self._clock() < self._kill_at:
            return
        if self.killed_because is None:
            self.killed_because = f"it said nothing for {self._silence_seconds:g} s"
        log.warning("the runner is killed: %s", self.killed_because)
        self._process.kill()
        self._kill_at = NEVER

    def kill(self) -> None:
        """Kill a runner at once and wait for its end: the daemon itself ends."""
        if self._process is not None:
            self._process.kill()
            self._process.join(self._grace_seconds)
            self._process = None
