"""What is told while pip works: one line that changes on a terminal, one line a step elsewhere."""

from __future__ import annotations

import re
import shutil
import sys
import time

_TOLD = re.compile(
    r"^\s*(Collecting|Downloading|Using cached|Building|Installing|Successfully installed)\b(.*)"
)


class Progress:
    """Lines on stderr; the log file holds everything."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._step = ""
        self._line = ""
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """Begin the next step."""
        self.end()
        self._step, self._line, self._began = text, "", time.monotonic()
        if self._terminal:
            self.tick()
        else:
            sys.stderr.write(f"{text}\n")

    def line(self, text: str) -> None:
        """Take one line of a program's output."""
        match = _TOLD.match(text)
        if match:
            # Without the list of all packages, which is as long as the screen is wide.
            self._line = f"{match[1]} {match[2].split(' (from')[0].strip()}"
        self.tick()

    def tick(self) -> None:
        """Write the line anew."""
        if not self._terminal:
            return
        seconds = f"  {time.monotonic() - self._began:.0f} s"
        text = self._step + (f": {self._line}" if self._line else "")
        width = max(20, shutil.get_terminal_size().columns - len(seconds) - 1)
        sys.stderr.write(f"\r\x1b[K{text[:width]}{seconds}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the changing line."""
        if self._terminal and self._step:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._step = ""
