"""A lab meter's file: formats, clocks, and a file that grows, is cut, vanishes or stands still."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.file import ExternalFile, Line, parse_line, parse_time
from edgedyno.core.meters import MeterSettings

if TYPE_CHECKING:
    from pathlib import Path


def meter(file: Path, offset: float | None = 0.0) -> ExternalFile:
    return ExternalFile(MeterSettings("file", file=str(file), scope="DC input", clock_offset=offset))


def lines(count: int, *, since: float = 1.0, period: float = 0.01, watts: float = 6.25) -> str:
    begin = time.time() - since
    return "".join(f"{begin + index * period:.6f},{watts:.3f}\n" for index in range(count))


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


def test_a_file_that_grows(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    file.write_text("time,watts\n" + lines(50))
    sensor = meter(file)
    found = sensor.probe()
    assert isinstance(found, Available)
    assert found.period_seconds == pytest.approx(0.01, rel=0.01)
    assert found.scope == "DC input"
    assert found.resolution == pytest.approx(0.001)
    before = sensor.read()
    with file.open("a") as open_file:
        open_file.write(lines(20, since=0.2, watts=7.5) + "17")  # the last line is still being written
    after = sensor.read()
    assert isinstance(before, Reading)
    assert isinstance(after, Reading)
    assert (before.value, after.value) == (6.25, 7.5)
    now = time.monotonic()
    assert len(sensor.between(now - 60, now + 60)) == 70
    assert after.at_seconds == pytest.approx(now, abs=1)


def test_a_clock_that_is_ahead(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    file.write_text(lines(10, since=-4.9))
    reading = meter(file, offset=5.0).read()
    assert isinstance(reading, Reading)
    assert reading.at_seconds == pytest.approx(time.monotonic(), abs=1)


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("1732300000.5,5.25", (0, 1), Line(1732300000.5, 5.25, 0.01)),
        ("1732300000500;5,25", (0, 1), Line(1732300000.5, 5.25, 0.01)),
        ("2024-11-22T18:26:40Z,5", (0, 1), Line(1732300000.0, 5.0, 1.0)),
        ("2024-11-22T19:26:40+01:00\t230\t5,250", (0, 2), Line(1732300000.0, 5.25, 0.001)),
        ('{"timestamp": 1732300000, "power": 5.2}', (0, 1), Line(1732300000.0, 5.2, 0.1)),
    ],
)
def test_formats(text: str, columns: tuple[int, int], expected: Line) -> None:
    found = parse_line(text, columns)
    assert isinstance(found, Line)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("1732300000,", "no watts"),
        ("1732300000", "no watts"),
        ("1732300000,off", "no watts"),
        ("1732300000,-3.2", "cannot be"),
        ("1732300000,4294967.295", "cannot be"),
        ("1732300000,nan", "cannot be"),
        ("12.5,5.0", "not in seconds since 1970"),
        ("2024-11-22T18:26:40,5.0", "no zone"),
        ("yesterday,5.0", "no time"),
        ("{broken,5.0", "no watts"),
        ("[]", "no watts"),
        ("nan,5.0", "not in seconds"),
    ],
)
def test_bad_lines_are_named(text: str, part: str) -> None:
    assert part in reason(parse_line(text))


def test_garbage_in_between_is_left_out_and_named(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    stamp = time.time()
    file.write_bytes(
        f"# Joulescope\n{stamp - 1:.3f},5.0\n\xff\xfe garbage\n\n{stamp - 2:.3f},9.0\n".encode("latin-1")
    )
    sensor = meter(file)
    reading = sensor.read()
    assert isinstance(reading, Reading)
    assert reading.value == 5.0


def test_a_file_that_is_cut_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    file.write_text(lines(100))
    sensor = meter(file)
    assert isinstance(sensor.read(), Reading)
    file.write_text(lines(3, since=0.02, watts=8.0))
    reading = sensor.read()
    assert isinstance(reading, Reading)
    assert reading.value == 8.0


def test_a_large_file_is_read_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    file.write_text(
        "time,volts,watts\n" + "".join(f"{time.time() - 2000 + i / 10:.3f},5.0,6.0\n" for i in range(20000))
    )
    sensor = meter(file)
    assert isinstance(sensor.read(), Reading)
    now = time.monotonic()
    assert len(sensor.between(now - 3000, now + 60)) < 4000


def test_a_file_that_vanishes_or_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    assert "No such file" in reason(meter(file).probe())
    file.write_text("time,watts\n")
    sensor = meter(file)
    assert "holds no reading yet" in reason(sensor.probe())
    file.unlink()
    assert "No such file" in reason(sensor.read())
    folder = tmp_path / "folder"
    folder.mkdir()
    assert reason(meter(folder).read())


def test_a_file_that_nobody_lengthens(tmp_path: Path) -> None:
    file = tmp_path / "meter.csv"
    file.write_text(lines(10, since=300))
    assert "nothing new for 300 s" in reason(meter(file).read())
    # Without a known clock it may be one that is behind: the fit of the run's edges will tell.
    assert isinstance(meter(file, offset=None).read(), Reading)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert reason(meter(pipe).read())


def test_times() -> None:
    now = datetime(2026, 1, 2, tzinfo=timezone.utc).timestamp()
    for text in (
        str(now),
        str(now * 1e3),
        str(int(now * 1e6)),
        str(int(now * 1e9)),
        "2026-01-02T00:00:00+00:00",
    ):
        assert parse_time(text) == pytest.approx(now, abs=1e-3)
