"""Files that vanish, are empty, hold garbage or refuse to be read give a reason, never an exception."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.agent.host.cpulist import format_cpu_list, parse_cpu_list
from edgedyno.agent.host.read import entries, first_float, read, read_float, read_int, read_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "text", "number", "whole"),
    [
        (b"42\n", "42", 42.0, 42),
        (b"0x00000000410fd083\n", "0x00000000410fd083", None, 0x410FD083),
        (b"32760 ma\n", "32760 ma", 32760.0, 32760),
        (b"0-31\n\0\n", "0-31", None, None),
        (b"", None, None, None),
        (b"\n", None, None, None),
        (b"\xff\xfe\x00garbage", "\ufffd\ufffd\0garbage", None, None),
        (b"nan", "nan", None, None),
        (b"inf", "inf", None, None),
        (b"-5", "-5", -5.0, -5),
        (b"1.5e3", "1.5e3", 1500.0, None),
    ],
)
def test_contents(
    tmp_path: Path, content: bytes, text: str | None, number: float | None, whole: int | None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert (read_text(path), read_float(path), read_int(path)) == (text, number, whole)


def test_absent(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == (None, "absent")
    assert read(tmp_path) == (None, os.strerror(errno.EISDIR)) or read(tmp_path).text is None
    assert entries(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.EAGAIN, "not ready (EAGAIN)"),
        (errno.ENODATA, "no data (ENODATA)"),
        (errno.EPERM, "permission denied"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_a_read_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str) -> None:
    path = tmp_path / "temp"
    path.write_text("1")

    def refuse(descriptor: int, size: int) -> bytes:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "read", refuse)
    assert read(path) == (None, reason)
    monkeypatch.undo()


def test_entries_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("cpu10", "cpu2", "cpu1", "online"):
        (tmp_path / name).touch()
    assert entries(tmp_path) == ["cpu1", "cpu2", "cpu10", "online"]


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_none(text: str) -> None:
    value = first_float(text)
    assert value is None or value == value  # noqa: PLR0124  (not NaN)


@given(st.sets(st.integers(0, 8191), min_size=1, max_size=40))
def test_cpu_lists_survive_the_round(cpus: set[int]) -> None:
    assert parse_cpu_list(format_cpu_list(cpus)) == sorted(cpus)


@given(st.text(max_size=20))
def test_any_text_is_a_cpu_list_or_none(text: str) -> None:
    cpus = parse_cpu_list(text)
    assert cpus is None or (cpus and cpus == sorted(set(cpus)))


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("0 1 2 3", [0, 1, 2, 3]),
        ("7,0-1", [0, 1, 7]),
        ("0-7:2/4", [0, 1, 4, 5]),
        ("3-1", None),
        ("0-99999", None),
        ("", None),
        (None, None),
        ("big", None),
        ("1,,2", None),
        ("0-3:0/2", None),
    ],
)
def test_cpu_lists(text: str | None, cpus: list[int] | None) -> None:
    assert parse_cpu_list(text) == cpus
