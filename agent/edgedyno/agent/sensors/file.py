"""A file that a lab meter's program writes while we measure: time stamps and watts, tailed line by line.

Not responsible for the meter's program, nor for how its clock and this board's differ (energy fits that where the
settings do not say).
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import deque
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from edgedyno.core.meters import MeterSettings

TAIL_BYTES = 1 << 16  # of a file that was there before; what is older was not asked for
MAX_READ_BYTES = 1 << 24
KEPT = 4_000_000  # readings: 20 minutes at 3 kHz
STALE_SECONDS = 30.0
EARLIEST_UNIX = 1e9  # 2001: smaller numbers are not seconds since 1970
_TIME_NAMES = ("time", "timestamp", "datetime", "date", "t", "unix", "epoch")
_WATT_NAMES = ("watts", "watt", "power", "power_w", "power_watts", "w", "p")


class Line(NamedTuple):
    """One line of the file."""

    unix_seconds: float
    watts: float
    step_watts: float


class ExternalFile:
    """The readings of a meter that writes a file."""

    def __init__(self, settings: MeterSettings) -> None:
        self._path = settings.file or ""
        self._settings = settings
        self.spec = SensorSpec(
            source="file",
            scope=settings.scope or "as wired",
            kind="sampled",
            min_window_seconds=1.0,
            max_rate_hertz=2.0,
            lag_seconds=(-30.0, 30.0) if settings.clock_offset is None else None,
        )
        self._columns: tuple[int, int] | None = None
        self._offset = 0
        self._inode: int | None = None
        self._rest = b""
        self._readings: deque[Reading] = deque(maxlen=KEPT)
        self._step = 0.0
        self._wrong: str | None = None

    def probe(self) -> Available | Unavailable:
        """Read the file's end: it has to have been written a moment ago."""
        newest = self.read()
        if isinstance(newest, Unavailable):
            return newest
        stamps = [each.at_seconds for each in self._readings][-1000:]
        gaps = [later - earlier for earlier, later in pairwise(stamps)]
        return Available(
            scope=self.spec.scope,
            rails=[],
            period_seconds=statistics.median(gaps) if gaps else None,
            resolution=self._settings.resolution or self._step,
        )

    def read(self) -> Reading | Unavailable:
        """Take in what was written since the last call and return the newest reading."""
        problem = self._take_in()
        if problem:
            return Unavailable(f"{self._path}: {problem}")
        if not self._readings:
            return Unavailable(f"{self._path}: {self._wrong or 'holds no reading yet'}")
        newest = self._readings[-1]
        silent = time.monotonic() - newest.at_seconds
        # Where the clocks' difference is not known, an old stamp may be a clock that is behind.
        if silent > STALE_SECONDS and self._settings.clock_offset is not None:
            return Unavailable(f"{self._path}: {self._wrong or f'nothing new for {silent:.0f} s'}")
        return newest

    def between(self, start_seconds: float, stop_seconds: float) -> list[Reading]:
        """Return the readings of a span, with what has been written up to now."""
        self._take_in()
        return [each for each in self._readings if start_seconds <= each.at_seconds <= stop_seconds]

    def close(self) -> None:
        """Hold nothing: the file is opened anew for each look."""

    def _take_in(self) -> str | None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            return error.strerror or str(error)
        try:
            self._look(descriptor)
            data = self._rest + os.pread(descriptor, MAX_READ_BYTES, self._offset)
            self._offset += len(data) - len(self._rest)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            os.close(descriptor)
        *lines, self._rest = data.split(b"\n")  # A line without its end is still being written.
        ahead = time.time() - time.monotonic() + (self._settings.clock_offset or 0.0)
        for line in lines:
            self._add(line.decode("utf-8", "replace").strip(), ahead)
        return None

    def _look(self, descriptor: int) -> None:
        """Begin near the end of a file that is new to us: another one by this name, or one that was cut."""
        stat = os.fstat(descriptor)
        if stat.st_ino == self._inode and stat.st_size >= self._offset:
            return
        first = self._inode is None
        self._inode, self._rest, self._columns = stat.st_ino, b"", None
        head = os.pread(descriptor, 4096, 0).partition(b"\n")[0].decode("utf-8", "replace").strip()
        self._columns = _columns(head)
        self._offset = max(0, stat.st_size - TAIL_BYTES) if first else 0
        if self._offset:
            part = os.pread(descriptor, TAIL_BYTES, self._offset)
            self._offset += part.find(b"\n") + 1

    def _add(self, text: str, ahead: float) -> None:
        if not text or text.startswith("#") or _columns(text) is not None:
            return
        line = parse_line(text, self._columns or (0, 1))
        if isinstance(line, Unavailable):
            self._wrong = line.reason
            return
        at_seconds = line.unix_seconds - ahead
        if self._readings and at_seconds <= self._readings[-1].at_seconds:
            if at_seconds < self._readings[-1].at_seconds:
                self._wrong = f"its time goes backwards at {text[:60]!r}"
            return
        self._step = max(self._step, line.step_watts)
        self._readings.append(Reading(at_seconds, line.watts, at_seconds))


def _columns(head: str) -> tuple[int, int] | None:
    """Return the columns of time and watts if `head` is a header line."""
    if head.startswith("{"):
        return None
    names = [name.strip().strip('"').lower() for name in _split(head)]
    times = [index for index, name in enumerate(names) if name in _TIME_NAMES]
    watts = [index for index, name in enumerate(names) if name in _WATT_NAMES]
    return (times[0], watts[0]) if times and watts else None


def _split(text: str) -> list[str]:
    return text.split(";" if ";" in text else "\t" if "\t" in text else ",")


def parse_line(text: str, columns: tuple[int, int] = (0, 1)) -> Line | Unavailable:
    """Return a line's time and watts, or what is wrong with it. Columns parted by ; may have decimal commas."""
    stamp, value = _fields(text, columns)
    number = value.replace(",", ".") if ";" in text or "\t" in text else value
    try:
        watts = float(number)
    except ValueError:
        return Unavailable(f"no watts in {text[:60]!r}")
    seconds = parse_time(stamp)
    if isinstance(seconds, Unavailable):
        return seconds
    if not 0 <= watts <= PLAUSIBLE_WATTS:
        return Unavailable(f"{watts:g} W in {text[:60]!r}, which cannot be")
    digits = number.lower().partition("e")[0].partition(".")[2]
    return Line(seconds, watts, 10.0 ** -len(digits))


def _fields(text: str, columns: tuple[int, int]) -> tuple[str, str]:
    if text.startswith("{"):
        try:
            data = json.loads(text, parse_float=str, parse_int=str)
        except (ValueError, RecursionError):
            return "", ""
        named = {str(key).lower(): str(value) for key, value in data.items()}
        first = next((named[name] for name in _TIME_NAMES if name in named), "")
        return first, next((named[name] for name in _WATT_NAMES if name in named), "")
    cells = [cell.strip().strip('"') for cell in _split(text)]
    return (cells[columns[0]], cells[columns[1]]) if len(cells) > max(columns) else ("", "")


def parse_time(text: str) -> float | Unavailable:
    """Return seconds since 1970 from such a number (s, ms, µs or ns) or an ISO time with its zone."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return _parse_iso(text)
    while number > 1e11:  # noqa: PLR2004  (milliseconds and finer are larger)
        number /= 1000
    if not number >= EARLIEST_UNIX:
        return Unavailable(
            f"the time {text!r} is not in seconds since 1970: it cannot be laid beside the run"
        )
    return number


def _parse_iso(text: str) -> float | Unavailable:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return Unavailable(f"no time in {text[:40]!r}")
    if moment.tzinfo is None:
        return Unavailable(f"the time {text!r} has no zone; write seconds since 1970, or add Z or +02:00")
    return moment.timestamp()
