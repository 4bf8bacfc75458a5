"""Quantities: what is read, what is refused, what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedyno.core.errors import ConfigError
from edgedyno.core.units import UNITS, format_bytes, format_quantity, format_seconds, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("100 ms", "time", 0.1),
        ("1.5s", "time", 1.5),
        ("10 min", "time", 600.0),
        (600, "time", 600.0),
        ("15 W", "power", 15.0),
        ("2%", "ratio", 0.02),
        ("1 pt", "ratio", 0.01),
        ("0.02", "ratio", 0.02),
        ("-1 pt", "ratio", -0.01),
        ("64 MiB", "size", 64 * 2**20),
        ("30 fps", "rate", 30.0),
    ],
)
def test_reads(text: str | float, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "ms", "100 parsec", "1 2 ms", "nan", "1e999 s", True, None, [1]])
def test_refuses_and_names_the_units(text: object) -> None:
    with pytest.raises(ConfigError, match=r"expected a time such as '100 ms' \(units: s, ms") as caught:
        parse_quantity(text, "time")  # type: ignore[arg-type]
    assert caught.value.code == "units.invalid"


@given(st.sampled_from([(d, u) for d, units in UNITS.items() for u in units if u]), st.floats(-1e6, 1e6))
def test_every_unit_scales(unit: tuple[str, str], number: float) -> None:
    dimension, name = unit
    assert parse_quantity(f"{number} {name}", dimension) == pytest.approx(number * UNITS[dimension][name])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.234, "1.23 s"),
        (0.02214, "22.1 ms"),
        (0.99999, "1000 ms"),
        (12.3e-6, "12.3 µs"),
        (5e-9, "5 ns"),
        (0.0, "0 ns"),
    ],
)
def test_writes_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_writes_bytes() -> None:
    assert [format_bytes(size) for size in (12, 3_660_092, 2e9)] == ["12 B", "3.7 MB", "2.0 GB"]


def test_writes_quantities_as_users_do() -> None:
    written = [(0.5, "ratio"), (1.0, "time"), (0.0, "time"), (15.0, "power"), (30.0, "rate")]
    assert [format_quantity(*each) for each in written] == ["50%", "1 s", "0 s", "15 W", "30 /s"]


def test_a_long_text_is_refused_at_once() -> None:
    for text in ("1" * 200_000 + "x y", " " * 200_000 + "1", "1" + " " * 200_000 + "s s"):
        with pytest.raises(ConfigError):
            parse_quantity(text, "time")
